//! Asks whether cluster DNS answers, through its Service's address: that takes CoreDNS, the
//! API server behind it and kube-proxy's rules.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

/// A name that every cluster has.
pub(super) const NAME: &str = "kubernetes.default.svc.cluster.local";
const IDENTIFIER: u16 = 0x5707;

/// Whether the server has an address for [`NAME`].
pub(super) fn answers(server: &str) -> io::Result<bool> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    socket.connect((server, 53))?;
    socket.send(&query(NAME))?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer)?;
    Ok(has_answer(&answer[..length]))
}

/// A question for the IPv4 addresses of a name (RFC 1035 §4.1).
fn query(name: &str) -> Vec<u8> {
    let mut message = Vec::with_capacity(64);
    for field in [IDENTIFIER, 0x0100, 1, 0, 0, 0] {
        message.extend(field.to_be_bytes());
    }
    for label in name.split('.') {
        // A label has at most 63 bytes.
        message.push(u8::try_from(label.len()).unwrap_or(63));
        message.extend(label.as_bytes());
    }
    // The root, then type A and class IN.
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// Whether a message answers our question without an error and with at least one record.
fn has_answer(message: &[u8]) -> bool {
    let field = |at: usize| {
        message.get(at..at + 2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]])).unwrap_or(0)
    };
    let is_response = field(2) & 0x8000 != 0;
    let failed = field(2) & 0x000f != 0;
    field(0) == IDENTIFIER && is_response && !failed && field(6) > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_told_from_answers_and_errors() {
        let question = query(NAME);
        assert_eq!(question.len(), 12 + NAME.len() + 2 + 4);
        let answered = |flags: u16, records: u16| {
            let mut message = question.clone();
            message[2..4].copy_from_slice(&flags.to_be_bytes());
            message[6..8].copy_from_slice(&records.to_be_bytes());
            message
        };
        let cases = [
            ("the question itself", question.clone(), false),
            ("an address", answered(0x8180, 1), true),
            ("no such name", answered(0x8183, 0), false),
            ("an error with a record", answered(0x8182, 1), false),
            ("no record", answered(0x8180, 0), false),
            ("a torn message", answered(0x8180, 1)[..5].to_vec(), false),
        ];
        for (what, message, expected) in cases {
            assert_eq!(has_answer(&message), expected, "{what}");
        }
    }
}
