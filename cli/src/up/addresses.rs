//! Which Store is served where: pure assignment of addresses, then binding.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use stowage_sidecar::server::{self, Listeners};
use tokio::net::TcpListener;

use crate::args::Listen;
use crate::exit::Failure;

const FIRST_PORT: u16 = 8080;
const PORTS_PER_STORE: u16 = 10;

/// The two addresses of a Store. Port 0 asks for a free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The contracts.
    pub(crate) main: SocketAddr,
    /// Health, readiness and metrics.
    pub(crate) management: SocketAddr,
}

impl Place {
    /// The place whose second port is the next one up; `None` at the last port.
    fn at(main: SocketAddr) -> Option<Self> {
        let port = match main.port() {
            0 => 0,
            port => port.checked_add(1)?,
        };
        Some(Self { main, management: SocketAddr::new(main.ip(), port) })
    }

    fn overlaps(self, other: Self) -> Option<SocketAddr> {
        let same_ip = |a: IpAddr, b: IpAddr| a == b || a.is_unspecified() || b.is_unspecified();
        [self.main, self.management].into_iter().find(|mine| {
            [other.main, other.management].iter().any(|theirs| {
                mine.port() != 0 && mine.port() == theirs.port() && same_ip(mine.ip(), theirs.ip())
            })
        })
    }
}

/// The `--listen` flags as addresses by Store name. What stands for "the first Store" is settled
/// once, at start: a manifest added later must not move it.
///
/// # Errors
/// [`Failure::Input`] for a Store that is not there or is named twice.
pub(crate) fn chosen(
    listen: &[Listen],
    stores: &[&str],
) -> Result<BTreeMap<String, SocketAddr>, Failure> {
    let mut chosen = BTreeMap::new();
    for flag in listen {
        let Some(name) = flag.store.as_deref().or_else(|| stores.first().copied()) else {
            return Err(Failure::Input("--listen: the manifests hold no Store".to_owned()));
        };
        if !stores.contains(&name) {
            return Err(Failure::Input(format!(
                "--listen: there is no Store {name}; there {}",
                match stores {
                    [] => "is none".to_owned(),
                    [one] => format!("is {one}"),
                    many => format!("are {}", many.join(", ")),
                }
            )));
        }
        if chosen.insert(name.to_owned(), flag.address).is_some() {
            return Err(Failure::Input(format!(
                "--listen: Store {name} is given two addresses; leave one out"
            )));
        }
    }
    Ok(chosen)
}

/// Gives every Store its place. A Store that has one keeps it; `--listen` goes before the
/// default; the default is by position, or the next free ten ports where that is taken.
///
/// # Errors
/// [`Failure::Input`] where two Stores would use one port.
pub(crate) fn assign(
    stores: &[&str],
    chosen: &BTreeMap<String, SocketAddr>,
    kept: &BTreeMap<String, Place>,
) -> Result<BTreeMap<String, Place>, Failure> {
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    let settled = stores.iter().filter_map(|name| {
        let place = kept.get(*name).copied();
        Some((*name, place.or_else(|| Place::at(*chosen.get(*name)?))?))
    });
    for (name, place) in settled {
        if let Some((other, address)) =
            places.iter().find_map(|(other, theirs)| Some((other, place.overlaps(*theirs)?)))
        {
            return Err(Failure::Input(format!(
                "--listen: Stores {other} and {name} would both use {address}; each takes its \
                 port and the next one up, so leave two ports to each"
            )));
        }
        places.insert(name.to_owned(), place);
    }
    for (position, name) in stores.iter().enumerate() {
        if places.contains_key(*name) {
            continue;
        }
        let free = (position..)
            .map_while(default_place)
            .find(|place| places.values().all(|other| place.overlaps(*other).is_none()));
        let Some(place) = free else {
            return Err(Failure::Input(format!(
                "there is no default port left for Store {name}; give it one with \
                 --listen {name}=127.0.0.1:0"
            )));
        };
        places.insert((*name).to_owned(), place);
    }
    Ok(places)
}

fn default_place(position: usize) -> Option<Place> {
    let offset = u16::try_from(position).ok()?.checked_mul(PORTS_PER_STORE)?;
    let port = FIRST_PORT.checked_add(offset)?;
    Place::at(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
}

/// Takes both ports of a Store.
///
/// # Errors
/// [`Failure::Environment`] names the port and what to do.
pub(crate) async fn bind(store: &str, place: Place) -> Result<(Listeners, Place), Failure> {
    let main = listen(store, place.main)?;
    let management = listen(store, place.management)?;
    let unknown = |e| Failure::Environment(format!("cannot learn the port of Store {store}: {e}"));
    let bound = Place {
        main: main.local_addr().map_err(unknown)?,
        management: management.local_addr().map_err(unknown)?,
    };
    Ok((Listeners { main, management }, bound))
}

fn listen(store: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    server::listen(address).map_err(|error| {
        Failure::Environment(match error.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "Store {store} cannot be served at {address}: the port is in use; stop what uses \
                 it, or choose another with --listen {store}=ADDR (port 0 takes a free one)"
            ),
            std::io::ErrorKind::PermissionDenied => format!(
                "Store {store} cannot be served at {address}: this user may not use that port; \
                 choose one above 1023 with --listen {store}=ADDR"
            ),
            std::io::ErrorKind::AddrNotAvailable => format!(
                "Store {store} cannot be served at {address}: this machine does not have that \
                 address; choose one of its own with --listen {store}=ADDR"
            ),
            _ => format!("Store {store} cannot be served at {address}: {error}"),
        })
    })
}

/// The URL of an address that a client on this machine can use: an unspecified one is replaced
/// by the loopback address.
pub(crate) fn url(address: SocketAddr) -> String {
    format!("http://{}", SocketAddr::new(reachable_ip(address.ip()), address.port()))
}

/// The host of an address, as [`url`] has it, without brackets.
pub(crate) fn host(address: SocketAddr) -> String {
    reachable_ip(address.ip()).to_string()
}

fn reachable_ip(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(texts: &[&str]) -> Vec<Listen> {
        texts.iter().map(|t| t.parse().unwrap()).collect()
    }

    fn mains(places: &BTreeMap<String, Place>) -> Vec<String> {
        places.iter().map(|(name, place)| format!("{name}={}", place.main)).collect()
    }

    #[test]
    fn stores_stand_ten_ports_apart_and_flags_go_first() {
        let table: &[(&[&str], &[&str], &[&str])] = &[
            (&["a", "b", "c"], &[], &["a=127.0.0.1:8080", "b=127.0.0.1:8090", "c=127.0.0.1:8100"]),
            (&["b", "a"], &[], &["a=127.0.0.1:8090", "b=127.0.0.1:8080"]),
            (&["a", "b"], &["127.0.0.1:0"], &["a=127.0.0.1:0", "b=127.0.0.1:8090"]),
            (&["a", "b"], &["b=127.0.0.1:8080"], &["a=127.0.0.1:8090", "b=127.0.0.1:8080"]),
            (&["a", "b"], &["b=0.0.0.0:8081"], &["a=127.0.0.1:8090", "b=0.0.0.0:8081"]),
            (&["a", "b"], &["[::1]:0", "b=[::1]:0"], &["a=[::1]:0", "b=[::1]:0"]),
        ];
        for (stores, listen, expected) in table {
            let chosen = chosen(&flags(listen), stores).unwrap();
            let places = assign(stores, &chosen, &BTreeMap::new()).unwrap();
            assert_eq!(mains(&places), *expected, "{stores:?} {listen:?}");
        }
    }

    #[test]
    fn the_second_port_is_the_next_one_up() {
        let place = |main: &str| Place::at(main.parse().unwrap()).map(|p| p.management.port());
        assert_eq!(place("127.0.0.1:8080"), Some(8081));
        assert_eq!(place("127.0.0.1:0"), Some(0));
        assert_eq!(place("127.0.0.1:65535"), None);
    }

    #[test]
    fn a_store_that_is_served_keeps_its_place() {
        let kept = BTreeMap::from([("b".to_owned(), default_place(0).unwrap())]);
        let places = assign(&["a", "b", "c"], &BTreeMap::new(), &kept).unwrap();
        assert_eq!(mains(&places), ["a=127.0.0.1:8090", "b=127.0.0.1:8080", "c=127.0.0.1:8100"]);
    }

    #[test]
    fn wrong_flags_are_refused_with_the_names_there_are() {
        let table: &[(&[&str], &[&str], &str)] = &[
            (&["a", "b"], &["x=127.0.0.1:1"], "there is no Store x; there are a, b"),
            (&["a"], &["x=127.0.0.1:1"], "there is no Store x; there is a"),
            (&[], &["127.0.0.1:1"], "the manifests hold no Store"),
            (&["a"], &["127.0.0.1:1", "a=127.0.0.1:5"], "Store a is given two addresses"),
        ];
        for (stores, listen, expected) in table {
            let error = chosen(&flags(listen), stores).unwrap_err();
            assert!(matches!(error, Failure::Input(_)), "{error:?}");
            assert!(error.to_string().contains(expected), "{error} should say: {expected}");
        }
    }

    #[test]
    fn two_stores_on_one_port_are_refused() {
        for second in ["b=127.0.0.1:9000", "b=127.0.0.1:9001", "b=0.0.0.0:8999"] {
            let stores = ["a", "b"];
            let chosen = chosen(&flags(&["127.0.0.1:9000", second]), &stores).unwrap();
            let error = assign(&stores, &chosen, &BTreeMap::new()).unwrap_err();
            assert!(error.to_string().contains("a and b would both use"), "{second}: {error}");
        }
    }

    #[test]
    fn an_unspecified_address_is_reached_by_loopback() {
        let table = [
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:80", "http://[::1]:80"),
            ("192.0.2.1:80", "http://192.0.2.1:80"),
        ];
        for (address, expected) in table {
            assert_eq!(url(address.parse().unwrap()), expected);
        }
    }
}
