//! Free ports for programs that cannot be given an open socket.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

/// Below the range that the kernel hands out for port 0, so that other tests do not get them
/// between their choice and their use.
const RANGE: Range<u16> = 20_000..32_000;

/// Distinct loopback ports that nobody listens at. Where to look is random, so that control
/// planes that start at the same time look at different places.
pub(crate) fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    let mut listeners = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = free_listener()?;
        *port = listener.local_addr()?.port();
        // Kept open until all are chosen, so that none is chosen twice.
        listeners.push(listener);
    }
    Ok(ports)
}

fn free_listener() -> io::Result<TcpListener> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..100 {
        let random = getrandom::u32().map_err(io::Error::other)?;
        let offset = u16::try_from(random % (RANGE.len() as u32)).map_err(io::Error::other)?;
        match TcpListener::bind((Ipv4Addr::LOCALHOST, RANGE.start + offset)) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_distinct_free_and_below_the_ephemeral_range() {
        let mut ports: Vec<u16> = free_ports::<20>().expect("twenty free ports").to_vec();
        for port in &ports {
            assert!(RANGE.contains(port), "{port} is outside of {RANGE:?}");
        }
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 20, "a port was given twice");
    }
}
