//! Readers beside a writer of documents that take a server several reads and writes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;

use super::{CLIENTS, Ground, Lost, joined, wrong};
use crate::content::Content;
use crate::tag::Tag;
use crate::wire::Connection;

/// So many versions are written while others read.
const VERSIONS: u32 = 40;
/// So many bytes fill a version up, and no fewer: less is written at once.
const FILL: usize = 96 << 10;
const FILL_MIN: usize = 3 << 10;

impl Ground<'_> {
    /// Readers see whole versions, each under a tag of its own, from the first to the last.
    pub(super) fn readers(&self) -> Result<(), Lost> {
        let fill = self.largest()?;
        let large = |number| Content { number, fill };
        self.put(large(0))?;
        let clients = CLIENTS / 2;
        let ended = AtomicBool::new(false);
        // Nothing is written before each has read once.
        let ready = Barrier::new(clients as usize + 1);
        let seen: Mutex<HashMap<String, Content>> = Mutex::new(HashMap::new());
        let read = |connection: &mut Connection| -> Result<u32, Lost> {
            let now = self.on(connection, &self.server.request("GET", self.here))?;
            let content = Content::parse(&now.body).filter(|_| now.status == 200);
            let content = content.ok_or_else(|| {
                wrong("one whole version", format!("{} with {}", now.status, now.excerpt()))
            })?;
            if let Some(tag) = now.tag().filter(|t| Tag::parse(t).is_some_and(|tag| !tag.weak)) {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                let first = *seen.entry(tag.clone()).or_insert(content);
                if first != content {
                    return Err(wrong(
                        "a strong tag for one content only",
                        format!("{tag} for versions {} and {}", first.number, content.number),
                    ));
                }
            }
            Ok(content.number)
        };
        let look = || -> Result<(), Lost> {
            let connection = self.server.connector.open();
            let first = connection.map_err(Lost::from).and_then(|mut connection| {
                read(&mut connection)?;
                Ok(connection)
            });
            ready.wait();
            let mut connection = first?;
            loop {
                // Before the read, so that the last one sees the last version.
                let is_last = ended.load(Ordering::SeqCst);
                let version = read(&mut connection)?;
                if is_last {
                    let is_current = version == VERSIONS;
                    let expected = format!("version {VERSIONS}, which was acknowledged");
                    return is_current
                        .then_some(())
                        .ok_or_else(|| wrong(&expected, version.to_string()));
                }
            }
        };
        let change = || -> Result<(), Lost> {
            let mut connection = self.server.connector.open()?;
            for version in 1..=VERSIONS {
                let write = self.server.write(self.here, large(version));
                let answer = self.on(&mut connection, &write)?;
                if !answer.succeeded() {
                    return Err(wrong("2xx to a write", answer.status.to_string()));
                }
            }
            Ok(())
        };
        thread::scope(|scope| {
            let readers: Vec<_> = (0..clients).map(|_| scope.spawn(look)).collect();
            ready.wait();
            let written = change();
            ended.store(true, Ordering::SeqCst);
            let read = readers.into_iter().try_for_each(joined);
            written.and(read)
        })
    }
    /// How many bytes the server takes of what is wanted. It may refuse more (RFC 9110 §15.5.14).
    fn largest(&self) -> Result<usize, Lost> {
        let mut fill = FILL;
        loop {
            let write = self.server.write(self.here, Content { number: 0, fill });
            match self.exchange(&write)?.status {
                200..=299 => return Ok(fill),
                413 if fill / 2 >= FILL_MIN => fill /= 2,
                413 => {
                    let reason = format!("a document of {fill} bytes is 413");
                    return Err(Lost::NotApplicable(reason));
                }
                status => return Err(wrong("2xx to a write", status.to_string())),
            }
        }
    }
}
