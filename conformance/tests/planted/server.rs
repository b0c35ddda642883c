//! A small HTTP/1.1 server over a map, written on bytes so that its framing can be wrong too.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, SystemTime};

use super::conditions::{Head, Stored, Verdict, evaluate, modified, range_stands, tag};
use super::defect::Defect;

pub(crate) const TOKEN: &str = "planted-0123456789";

/// More than this of a head is refused.
const HEAD_MAX: usize = 32 << 10;

/// A server on a port of its own; gone when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    map: Mutex<Map>,
    /// Told of each decision and of each read.
    met: Condvar,
    defect: Option<Defect>,
    /// Longer bodies are 413.
    body_max: usize,
    over: AtomicBool,
}

#[derive(Default)]
struct Map {
    documents: BTreeMap<String, Stored>,
    versions: u64,
    /// How many writes were decided, of each target, and how many reads there were of all.
    decisions: BTreeMap<String, u64>,
    reads: u64,
}

/// How long a defect that takes two waits for the other one: most cases have none.
const MEETS_WITHIN: Duration = Duration::from_millis(50);

impl Shared {
    /// Waits until `count` has grown: until somebody else is at the same.
    fn meet<'a>(
        &self,
        map: MutexGuard<'a, Map>,
        count: impl Fn(&Map) -> u64,
    ) -> MutexGuard<'a, Map> {
        let before = count(&map);
        let nobody = |map: &mut Map| count(map) == before;
        self.met.wait_timeout_while(map, MEETS_WITHIN, nobody).expect("no panic").0
    }
}

impl Server {
    pub(crate) fn start(defect: Option<Defect>) -> Self {
        Self::with_body_max(defect, usize::MAX)
    }

    /// One that takes no longer bodies.
    pub(crate) fn with_body_max(defect: Option<Defect>, body_max: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            map: Mutex::default(),
            met: Condvar::new(),
            defect,
            body_max,
            over: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.over.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                if let Ok(stream) = stream {
                    thread::spawn(move || serve(stream, &shared));
                }
            }
        });
        Self { address, shared }
    }

    /// What is stored.
    pub(crate) fn left(&self) -> Vec<String> {
        self.shared.map.lock().expect("no panic").documents.keys().cloned().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // So that it looks.
        let _ = TcpStream::connect(self.address);
    }
}

struct Answer {
    status: u16,
    fields: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

fn answer(status: u16) -> Answer {
    Answer { status, fields: Vec::new(), body: Vec::new() }
}

impl Answer {
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::new();
    while let Some(done) = request(&mut stream, &mut buffer) {
        let Ok((head, body)) = done else {
            let _ = stream.write_all(
                b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
            return;
        };
        let answer = respond(&head, body, shared);
        let bytes = encode(&head, &answer, shared.defect);
        let cut = shared.defect == Some(Defect::CutsAfter412) && answer.status == 412;
        if stream.write_all(&bytes).is_err() || cut {
            return;
        }
    }
}

/// A request, or that it is malformed; `None` where the connection ends.
fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Result<(Head, Vec<u8>), ()>> {
    let (head, length) = loop {
        let mut lines = vec![httparse::EMPTY_HEADER; 600];
        let mut parsed = httparse::Request::new(&mut lines);
        match parsed.parse(buffer) {
            Ok(httparse::Status::Complete(length)) => break (taken(&parsed), length),
            Ok(httparse::Status::Partial) if buffer.len() <= HEAD_MAX => {}
            _ => return Some(Err(())),
        }
        more(stream, buffer)?;
    };
    buffer.drain(..length);
    let length: usize = head.one("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    while buffer.len() < length {
        more(stream, buffer)?;
    }
    Some(Ok((head, buffer.drain(..length).collect())))
}

fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 16 << 10];
    let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
    buffer.extend_from_slice(&piece[..count]);
    Some(())
}

fn taken(parsed: &httparse::Request<'_, '_>) -> Head {
    let text = |bytes: &[u8]| bytes.iter().map(|&byte| char::from(byte)).collect::<String>();
    Head {
        method: parsed.method.unwrap_or_default().to_owned(),
        target: parsed.path.unwrap_or_default().to_owned(),
        fields: parsed.headers.iter().map(|l| (l.name.to_owned(), text(l.value))).collect(),
    }
}

fn respond(head: &Head, body: Vec<u8>, shared: &Shared) -> Answer {
    let defect = shared.defect;
    let known = ["GET", "HEAD", "PUT", "DELETE"].contains(&head.method.as_str());
    if !known || (head.method == "PUT" && defect == Some(Defect::ReadOnly)) {
        let answer = answer(405);
        return match defect {
            Some(Defect::NoAllow) => answer,
            _ => answer.with("Allow", "GET, HEAD, PUT, DELETE"),
        };
    }
    let authorized = head.one("authorization") == Some(&format!("Bearer {TOKEN}"));
    if !authorized && defect != Some(Defect::ConditionsBeforeAuth) {
        return unauthorized();
    }
    let reading = matches!(head.method.as_str(), "GET" | "HEAD");
    if body.len() > shared.body_max {
        return answer(413);
    }
    let mut map = shared.map.lock().expect("no panic");
    let stored = map.documents.get(&head.target).cloned();
    if reading && stored.is_none() {
        return answer(404);
    }
    let verdict = evaluate(head, stored.as_ref(), defect);
    if reading {
        map.reads += 1;
        shared.met.notify_all();
    }
    let is_conditional = head.one("if-match").or(head.one("if-none-match")).is_some();
    if defect == Some(Defect::NotAtomic) && !reading && is_conditional {
        *map.decisions.entry(head.target.clone()).or_default() += 1;
        shared.met.notify_all();
        map = shared.meet(map, |map| map.decisions[&head.target]);
    }
    match verdict {
        Verdict::Malformed => return answer(400),
        Verdict::Broken => return answer(500),
        Verdict::NotModified => return tagged(answer(304), stored.as_ref(), defect),
        Verdict::Failed if defect == Some(Defect::RefusalWrites) && head.method == "PUT" => {
            write(&mut map, &head.target, body);
            return answer(412);
        }
        Verdict::Failed => return tagged(answer(412), stored.as_ref(), defect),
        Verdict::Go if !authorized => return unauthorized(),
        Verdict::Go => {}
    }
    match (head.method.as_str(), stored) {
        ("PUT", stored) => {
            if defect == Some(Defect::TornWrites) && body.len() > 1000 {
                write(&mut map, &head.target, body[..1000].to_vec());
                map = shared.meet(map, |map| map.reads);
            }
            let written = write(&mut map, &head.target, body);
            tagged(answer(if stored.is_some() { 204 } else { 201 }), Some(&written), defect)
        }
        ("DELETE", stored) => {
            map.documents.remove(&head.target);
            answer(if stored.is_some() { 204 } else { 404 })
        }
        (_, Some(stored)) => read(head, &stored, defect),
        (_, None) => answer(404),
    }
}

fn unauthorized() -> Answer {
    answer(401).with("WWW-Authenticate", "Bearer")
}

fn write(map: &mut Map, target: &str, body: Vec<u8>) -> Stored {
    map.versions += 1;
    let stored = Stored { body, version: map.versions, modified: SystemTime::now() };
    map.documents.insert(target.to_owned(), stored.clone());
    stored
}

fn tagged(answer: Answer, stored: Option<&Stored>, defect: Option<Defect>) -> Answer {
    let Some(stored) = stored else { return answer };
    if answer.status == 304 && defect == Some(Defect::NoTagIn304) {
        return answer;
    }
    let ahead =
        Duration::from_secs(if defect == Some(Defect::FutureModified) { 86_400 } else { 0 });
    let tag = tag(stored, defect);
    let tag = if defect == Some(Defect::BareTag) { tag.trim_matches('"').to_owned() } else { tag };
    let mut answer = answer
        .with("ETag", tag)
        .with("Last-Modified", httpdate::fmt_http_date(modified(stored) + ahead));
    if answer.status == 304 && defect == Some(Defect::BodyIn304) {
        answer.body.clone_from(&stored.body);
    }
    answer
}

fn read(head: &Head, stored: &Stored, defect: Option<Defect>) -> Answer {
    let whole = tagged(answer(200), Some(stored), defect).with("Accept-Ranges", "bytes");
    let range = head.one("range").filter(|_| head.method == "GET");
    let range = range.filter(|_| range_stands(head, stored, defect));
    let length = stored.body.len();
    match range.map(|range| bounds(range, length)) {
        None | Some(Bounds::Ignored) => Answer { body: stored.body.clone(), ..whole },
        Some(Bounds::Beyond) => answer(416).with("Content-Range", format!("bytes */{length}")),
        Some(Bounds::Part(first, last)) => Answer {
            status: 206,
            body: stored.body[first..=last].to_vec(),
            ..whole.with("Content-Range", format!("bytes {first}-{last}/{length}"))
        },
    }
}

enum Bounds {
    Ignored,
    Beyond,
    Part(usize, usize),
}

fn bounds(range: &str, length: usize) -> Bounds {
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|r| r.split_once('-')) else {
        return Bounds::Ignored;
    };
    let end = length - 1;
    match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), _) if first >= length => Bounds::Beyond,
        (Ok(first), Ok(last)) if first <= last => Bounds::Part(first, last.min(end)),
        (Ok(first), Err(_)) if last.is_empty() => Bounds::Part(first, end),
        (Err(_), Ok(count)) if first.is_empty() && count > 0 => {
            Bounds::Part(length.saturating_sub(count), end)
        }
        _ => Bounds::Ignored,
    }
}

fn encode(head: &Head, answer: &Answer, defect: Option<Defect>) -> Vec<u8> {
    let date = httpdate::fmt_http_date(SystemTime::now());
    let mut text = format!("HTTP/1.1 {} Planted\r\nDate: {date}\r\n", answer.status);
    for (name, value) in &answer.fields {
        text += &format!("{name}: {value}\r\n");
    }
    let is_empty_head = defect == Some(Defect::EmptyLengthIn304)
        && (head.method.as_str(), answer.status) == ("HEAD", 304);
    if is_empty_head || !matches!(answer.status, 204 | 304) {
        text += &format!("Content-Length: {}\r\n", answer.body.len());
    }
    text += "\r\n";
    let mut bytes = text.into_bytes();
    if head.method != "HEAD" || defect == Some(Defect::BodyInHead) {
        bytes.extend_from_slice(&answer.body);
    }
    bytes
}
