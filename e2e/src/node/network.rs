//! The node's network: loopback, and one address that it goes by. There is no way out.

use std::process::Command;

use crate::command::{CommandError, output};
use crate::process::{NODE_ADDRESS, SERVICE_RANGE};

/// Brings up loopback and the node's address in the network namespace of this process.
pub(super) fn set_up() -> Result<(), CommandError> {
    let address = format!("{NODE_ADDRESS}/32");
    let steps: [&[&str]; 5] = [
        &["link", "set", "lo", "up"],
        // A bridge without ports, because not every kernel has links of the type `dummy`.
        &["link", "add", "stowage0", "type", "bridge"],
        &["address", "add", &address, "dev", "stowage0"],
        &["link", "set", "stowage0", "up"],
        // Without a route, a connection to a Service would fail before kube-proxy's rules see it.
        &["route", "add", SERVICE_RANGE, "dev", "stowage0"],
    ];
    for step in steps {
        output(Command::new("ip").args(step))?;
    }
    Ok(())
}
