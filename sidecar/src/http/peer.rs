//! Where a request comes from, as far as it counts.

use std::net::{IpAddr, Ipv6Addr};

/// Who shares a limit by address: one address of IPv4, or a network of IPv6 as a host gets one for itself
/// (RFC 6177).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Peer(IpAddr);

/// The bits that hosts choose among themselves.
const INTERFACE_BITS: u32 = 64;

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() >> INTERFACE_BITS << INTERFACE_BITS;
                Ipv6Addr::from_bits(network).into()
            }
            address => address,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_host_are_one_peer() {
        let table = [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8::1", "2001:db8::ffff:0:0:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ];
        for (a, b, are_same) in table {
            let peer = |text: &str| Peer::from(text.parse::<IpAddr>().unwrap());
            assert_eq!(peer(a) == peer(b), are_same, "{a} and {b}");
        }
    }
}
