//! What a server offers, found out once before the cases.

use std::time::{Duration, Instant};

use crate::case::{Need, ORIGIN};
use crate::content::A;
use crate::execute::{Condition, Server};
use crate::profile::Profile;
use crate::run::Stop;
use crate::tag::Tag;
use crate::wire::{Answer, Connection, WireError};

/// How long a tag that is weak at first may take to become a strong one. Apache httpd does this:
/// within a second of a change its time does not tell two states apart.
pub(crate) const SETTLING: Duration = Duration::from_secs(4);

/// What a server offers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offers {
    profile: Profile,
    tag: bool,
    strong: bool,
    /// A tag is weak for a moment after a write, and strong then.
    pub(crate) settles: bool,
    modified: bool,
    ranges: bool,
    head: bool,
    delete: bool,
    authorization: bool,
    keeps_alive: bool,
    origin: bool,
    /// A write without a condition is refused with 428.
    pub(crate) condition_required: bool,
}

impl Offers {
    /// Why a case that needs this does not apply; `None` where it does.
    pub(crate) fn lack(&self, need: Need) -> Option<&'static str> {
        let kv = self.profile == Profile::Kv;
        let (offered, reason) = match need {
            Need::Tag => (self.tag, "no ETag on GET"),
            Need::StrongTag => (self.strong, "no strong ETag on GET"),
            Need::WeakTag => (self.tag && !self.strong, "no weak ETag on GET"),
            Need::LastModified => (self.modified, "no Last-Modified on GET"),
            Need::NoLastModified => (!self.modified, "Last-Modified is there"),
            Need::Ranges => (self.ranges, "no 206 to Range: bytes=0-0"),
            Need::Head => (self.head, "HEAD is not 200"),
            Need::Delete => (self.delete, "DELETE is not 2xx"),
            Need::Absence => (!kv, "a KV namespace is empty, never absent"),
            Need::ConditionRequired => (self.condition_required, "a write needs no condition"),
            Need::Created => {
                (self.profile != Profile::RunStore, "the run store answers 200 to a first write")
            }
            Need::Replaced => {
                (self.profile != Profile::Artifacts, "every upload of an artifact is answered 201")
            }
            Need::Authorization => (self.authorization, "no token, or reads pass without it"),
            Need::Origin => (self.origin, "pages of https://conformance.example are not allowed"),
            Need::KeepAlive => (self.keeps_alive, "connections are closed after each answer"),
        };
        (!offered).then_some(reason)
    }

    /// Tries the server.
    ///
    /// # Errors
    /// [`Stop`] where nothing can be tried at all, in words that say what to do.
    pub(crate) fn probe(server: &mut Server) -> Result<Self, Stop> {
        let target = server.target(&crate::run::name());
        if server.condition == Condition::None {
            let written = server.exchange(&server.write(&target, A)).map_err(Stop::wire)?;
            if written.status == 428 {
                server.condition = Condition::Demanded;
            }
        }
        let found = Self::look(server, &target);
        server.remove(&target);
        found
    }

    fn look(server: &Server, target: &str) -> Result<Self, Stop> {
        let write = server.write(target, A);
        let written = server.exchange(&write).map_err(Stop::wire)?;
        if !written.succeeded() {
            let what = format!("{} {target}", write.method);
            return Err(Stop::refused(&what, &written));
        }
        let mut read = exchange(server, "GET", target, &[])?;
        if read.status != 200 {
            return Err(Stop::refused(&format!("GET {target}"), &read));
        }
        if read.body != A.bytes() {
            return Err(Stop::Unsuitable(format!(
                "GET {target} does not answer what was written there, but {}; the suite writes \
                 JSON and reads it again",
                read.excerpt()
            )));
        }
        let at_first = strong(&read);
        let since = Instant::now();
        while read.tag().is_some() && !strong(&read) && since.elapsed() < SETTLING {
            std::thread::sleep(Duration::from_millis(200));
            read = exchange(server, "GET", target, &[])?;
        }
        let ranges = exchange(server, "GET", target, &[("Range", "bytes=0-0")])?.status == 206;
        let head = exchange(server, "HEAD", target, &[])?.status == 200;
        let authorization = server.authorized()
            && matches!(
                server.exchange(&server.anonymous("GET", target)),
                Ok(Answer { status: 401 | 403, .. })
            );
        let cross = exchange(server, "GET", target, &[("Origin", ORIGIN)])?;
        let origin = cross.field("access-control-allow-origin").is_some();
        let keeps_alive = keeps_alive(server, target).map_err(Stop::wire)?;
        let delete = server.remove(target);
        Ok(Self {
            profile: server.profile,
            tag: read.tag().is_some(),
            strong: strong(&read),
            settles: !at_first && strong(&read),
            modified: read.field("last-modified").is_some(),
            ranges,
            head,
            delete,
            authorization,
            keeps_alive,
            origin,
            condition_required: server.condition == Condition::Demanded,
        })
    }
}

fn strong(answer: &Answer) -> bool {
    answer.tag().and_then(|tag| Tag::parse(&tag)).is_some_and(|tag| !tag.weak)
}

fn exchange(
    server: &Server,
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
) -> Result<Answer, Stop> {
    let mut request = server.request(method, target);
    request.fields.extend(fields.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())));
    server.exchange(&request).map_err(Stop::wire)
}

fn keeps_alive(server: &Server, target: &str) -> Result<bool, WireError> {
    let get = server.request("GET", target);
    let mut connection: Connection = server.connector.open()?;
    let first = connection.exchange(&get)?;
    Ok(!first.closes && connection.exchange(&get).is_ok())
}
