//! A process that is told from a later one with the same number.

use std::fmt;
use std::fs;
use std::str::FromStr;

use rustix::process::{Pid, Signal, kill_process};

/// A process: its number and when it began, in ticks since boot (proc(5), field 22 of `stat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessId {
    number: i32,
    began: u64,
}

impl ProcessId {
    /// The process that has this number now.
    pub(crate) fn of(number: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
        let (state, began) = state_and_start(&stat)?;
        // A zombie runs no more; only its parent has not asked yet.
        (state != "Z" && state != "X").then_some(Self { number, began })
    }

    /// The calling process.
    pub(crate) fn own() -> Option<Self> {
        // By way of /proc, whose process namespace may be another one than that of getpid().
        let number = fs::read_link("/proc/self").ok()?;
        Self::of(number.to_str()?.parse().ok()?)
    }

    /// Its number.
    pub(crate) fn number(self) -> i32 {
        self.number
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(self) -> bool {
        Self::of(self.number) == Some(self)
    }

    /// Kills it, where it still runs.
    pub(crate) fn kill(self) {
        if let Some(pid) = Pid::from_raw(self.number).filter(|_| self.is_alive()) {
            // It may end by itself between the two.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn state_and_start(stat: &str) -> Option<(&str, u64)> {
    // The second field is the program's name in parentheses, which may hold anything.
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some((fields.first()?, fields.get(19)?.parse().ok()?))
}

impl fmt::Display for ProcessId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.number, self.began)
    }
}

impl FromStr for ProcessId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, began) = text.trim().split_once(' ').unwrap_or((text, ""));
        Ok(Self { number: number.parse()?, began: began.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_number_and_its_beginning() {
        let own = ProcessId::own().expect("this process");
        assert_eq!(own.number(), i32::try_from(std::process::id()).expect("a number"));
        assert!(own.is_alive());
        assert_eq!(own.to_string().parse(), Ok(own));
        let earlier = ProcessId { began: own.began - 1, ..own };
        assert!(!earlier.is_alive(), "another process had the number before");
    }

    #[test]
    fn a_name_with_parentheses_and_blanks_is_skipped() {
        let stat = format!("7 (a) b) (c) S {} 4711 0", ["0"; 18].join(" "));
        assert_eq!(state_and_start(&stat), Some(("S", 4711)));
    }
}
