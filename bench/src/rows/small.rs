//! Documents of 1 KB: written, fought for, and read.

use anyhow::Result;

use super::goal;
use crate::bare::{Blocks, bare};
use crate::contest::Bound::{AtLeast, AtMost};
use crate::contest::{Contender, Goal, MakeClient, Outcome, Work, hold};
use crate::figures::Figure::{P50, ServerCpu, Throughput};
use crate::load::stowage::{self, Read};
use crate::load::{Client, Length, Load, drive, etcd, nats, redis};
use crate::scratch::Scratch;
use crate::servers::sidecar::{AccessLog, History};
use crate::servers::{self, Places, Server};
use crate::settings::Settings;

/// How many clients there are, point by point of the plot.
pub(crate) const CLIENTS: [usize; 5] = [1, 4, 16, 64, 256];
/// Where no other number is said.
pub(crate) const CLIENTS_USUAL: usize = 64;

fn load<'a, C: Client + 'static>(
    name: &'static str,
    server: &'a Server,
    client: impl Fn(usize) -> C + 'a,
    goals: Vec<Goal>,
) -> Contender<'a> {
    let make: MakeClient<'a> = Box::new(move |number| Box::new(client(number)));
    Contender { name, work: Work::Load(server, make), goals }
}

/// The name of a client's own document.
fn own(client: usize) -> String {
    format!("own-{client}")
}

/// The servers that take writes.
pub(crate) struct Writers {
    /// Ours with histories.
    keeping: Server,
    redis: Server,
    etcd: Server,
    nats: Server,
}

impl Writers {
    pub(crate) fn start(places: &Places) -> Result<Self> {
        let directory = places.directory("history")?;
        let keeping = servers::sidecar(places, &directory, AccessLog::Off, History::Ten)?;
        let (redis, etcd) = (servers::redis(places)?, servers::etcd(places)?);
        Ok(Self { keeping, redis, etcd, nats: servers::nats(places)? })
    }
}

/// Durable conditional PUT, each client its own document.
pub(crate) fn put(
    clients: usize,
    ours: &Server,
    peers: &Writers,
    settings: &Settings,
    scratch: &Scratch,
) -> Result<Outcome> {
    let many = clients >= CLIENTS_USUAL;
    let only = |condition: bool, goals: Vec<Goal>| if condition { goals } else { Vec::new() };
    let set = match clients {
        1 => vec![goal(Throughput, AtLeast(1.0))],
        _ => only(many, vec![goal(Throughput, AtLeast(0.75))]),
    };
    let mut contenders = vec![
        load("stowage PUT If-Match", ours, |n| stowage::Writer::new(&own(n)), vec![]),
        load(
            "redis SET, no condition",
            &peers.redis,
            |n| redis::Setter::new(&format!("set-{n}")),
            set,
        ),
        load(
            "redis compare-and-swap",
            &peers.redis,
            |n| redis::Swapper::new(&format!("swap-{n}")),
            vec![],
        ),
        load(
            "etcd txn by its gateway",
            &peers.etcd,
            |n| etcd::Writer::new(&own(n)),
            only(many, vec![goal(Throughput, AtLeast(5.0))]),
        ),
        load(
            "nats KV update",
            &peers.nats,
            |n| nats::Writer::new(&own(n)),
            only(many, vec![goal(Throughput, AtLeast(7.0))]),
        ),
    ];
    if clients == 1 || clients == CLIENTS_USUAL {
        let client = |n| stowage::Writer::new(&own(n));
        contenders.push(load("stowage, ten versions kept", &peers.keeping, client, vec![]));
    }
    if clients == 1 {
        let alone = |name, blocks, goals| Contender {
            name,
            work: Work::Alone(Box::new(move |span| bare(blocks, span, scratch))),
            goals,
        };
        contenders.push(alone(
            "bare append + fdatasync",
            Blocks::Appended,
            vec![goal(P50, AtMost(1.5))],
        ));
        contenders.push(alone("bare, preallocated", Blocks::Preallocated, vec![]));
    }
    hold("durable conditional PUT".into(), clients, contenders, settings, scratch)
}

/// All clients read, change and write back one document.
pub(crate) fn swap(
    ours: &Server,
    peers: &Writers,
    settings: &Settings,
    scratch: &Scratch,
) -> Result<Outcome> {
    let contenders = vec![
        load("stowage", ours, |_| stowage::Incrementer::new("hot"), vec![]),
        load(
            "etcd by its gateway",
            &peers.etcd,
            |_| etcd::Incrementer::new("hot"),
            vec![goal(Throughput, AtLeast(10.0))],
        ),
    ];
    let title = "read-modify-write of one document (wins)".into();
    hold(title, CLIENTS_USUAL, contenders, settings, scratch)
}

/// The servers that are read from.
pub(crate) struct Readers<'a> {
    pub(crate) ours: &'a Server,
    /// Ours with its access log.
    pub(crate) logging: Server,
    pub(crate) nginx: Server,
}

/// Writes the documents that are read.
pub(crate) fn prepare_reads(servers: &Readers<'_>, clients: usize) -> Result<()> {
    for server in [servers.ours, &servers.logging] {
        let client = |n| Box::new(stowage::Writer::new(&own(n))) as Box<dyn Client>;
        let clients = (0..clients).map(client).collect();
        let length = Length::Operations(1);
        drive(Load { address: server.address(), clients, length }, || Ok(()))?;
    }
    Ok(())
}

/// Reads from memory, each client its own document, against static files.
pub(crate) fn get(
    read: Read,
    clients: usize,
    servers: &Readers<'_>,
    settings: &Settings,
    scratch: &Scratch,
) -> Result<Outcome> {
    let goals = if clients == CLIENTS_USUAL {
        vec![goal(Throughput, AtLeast(1.0)), goal(ServerCpu, AtMost(1.0))]
    } else {
        Vec::new()
    };
    let (title, name) = match read {
        Read::Whole => ("GET from memory", "stowage GET"),
        Read::NotModified => ("GET answered 304", "stowage 304"),
    };
    let document = move |n| stowage::Reader::new(&stowage::path(&own(n)), read);
    let file = move |n| stowage::Reader::new(&format!("/{n}.json"), read);
    let mut contenders = vec![
        load(name, servers.ours, document, vec![]),
        load("nginx static file", &servers.nginx, file, goals),
    ];
    if clients == CLIENTS_USUAL {
        contenders.push(load("stowage with its access log", &servers.logging, document, vec![]));
    }
    hold(title.into(), clients, contenders, settings, scratch)
}
