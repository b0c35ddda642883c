//! Ten thousand requests at random, each answer foretold by a model that is nothing but maps. The
//! server is started anew between some of them.
//!
//! A history that fails prints its seed; `STOWAGE_SEED=n` repeats it.

mod conditions;
mod documents;
mod namespaces;
mod sets;

use std::sync::Arc;

use fastrand::Rng;
use stowage_store::{VolumeOptions, VolumeStore};
use tempfile::TempDir;

use self::documents::Documents;
use self::namespaces::Namespaces;
use self::sets::Sets;
use super::harness::{Server, Setup};
use super::raw::{Answer, Connection, Request};

const REQUESTS: usize = 10_000;

/// So many versions are kept of each document and namespace.
const HISTORY: usize = 4;

/// What a request must be answered with.
struct Foretold {
    status: u16,
    /// The whole body, where it is known.
    body: Option<String>,
    /// The entity tag, where it is known.
    tag: Option<String>,
}

impl Foretold {
    fn status(status: u16) -> Self {
        Self { status, body: None, tag: None }
    }

    fn body(self, body: impl Into<String>) -> Self {
        Self { body: Some(body.into()), ..self }
    }

    fn tag(self, tag: &str) -> Self {
        Self { tag: Some(tag.to_owned()), ..self }
    }

    fn verify(&self, said: &str, answer: &Answer) {
        assert_eq!(answer.status, self.status, "{said}: {}", answer.text());
        if let Some(body) = &self.body {
            assert_eq!(&answer.text(), body, "{said}");
        }
        if let Some(tag) = &self.tag {
            assert_eq!(answer.header("etag").as_ref(), Some(tag), "{said}");
        }
    }
}

/// A part of the model: makes a request, foretells its answer, and learns from that what cannot be
/// foretold.
trait Part {
    fn next(&mut self, random: &mut Rng) -> (Request, Foretold);
    fn learn(&mut self, answer: &Answer);
}

struct Place {
    directory: TempDir,
}

impl Place {
    async fn start(&self) -> (Server, Connection) {
        let path = self.directory.path().join("data");
        // Small, so that the tree is written and read again on the way.
        let options =
            VolumeOptions { cache_bytes: 4096, history: HISTORY, ..VolumeOptions::default() };
        let store = VolumeStore::open(&path, &options).expect("a store");
        let server = Setup::default().store(Arc::new(store)).start().await;
        let connection = Connection::open(server.address).await;
        (server, connection)
    }
}

fn seed() -> u64 {
    let given = std::env::var("STOWAGE_SEED").ok();
    given.map_or_else(|| fastrand::u64(..), |seed| seed.parse().expect("STOWAGE_SEED is a number"))
}

#[tokio::test]
async fn ten_thousand_requests_are_answered_as_a_model_foretells() {
    let seed = seed();
    let random = &mut Rng::with_seed(seed);
    let place = Place { directory: tempfile::tempdir().expect("a directory") };
    let (mut server, mut connection) = place.start().await;
    let mut parts: Vec<Box<dyn Part>> =
        vec![Box::<Documents>::default(), Box::<Namespaces>::default(), Box::<Sets>::default()];
    for number in 0..REQUESTS {
        if number % (REQUESTS / 5) == REQUESTS / 10 {
            server.shutdown.cancel();
            server.ended().await.expect("it ends well");
            (server, connection) = place.start().await;
        }
        let part = random.usize(..parts.len());
        let (request, foretold) = parts[part].next(random);
        connection.send(&request.bytes()).await;
        let answer = connection.answer(request.method == "HEAD").await;
        let headers = &request.headers;
        let body = String::from_utf8_lossy(&request.body);
        let (method, target) = (&request.method, &request.target);
        let said = format!("seed {seed}, request {number}: {method} {target} {headers:?} {body}");
        let answer = answer.unwrap_or_else(|| panic!("{said}: expected an answer"));
        foretold.verify(&said, &answer);
        super::described::verify(&request, &answer);
        parts[part].learn(&answer);
    }
}
