//! What a patch of one key costs in a large namespace, beside a small one, and beside one of which
//! versions are kept.

use anyhow::Result;

use super::goal;
use crate::contest::Bound::AtMost;
use crate::contest::{Contender, MakeClient, Outcome, Work, hold};
use crate::figures::Figure::{P50, Written};
use crate::load::stowage::Patcher;
use crate::load::{Length, Load, drive};
use crate::scratch::Scratch;
use crate::servers::Server;
use crate::settings::Settings;

/// How many keys the small namespace has.
const KEYS_FEW: u64 = 100;
/// The most operations that a patch may have, and how many make the large namespace.
const OPERATIONS: u64 = 1_000;

/// Makes a namespace by patches of many keys.
fn fill(ours: &Server, name: &str, keys: u64) -> Result<()> {
    let operations = keys.min(OPERATIONS);
    let patcher = Patcher::new(name, keys, operations);
    let length = Length::Operations(keys / operations);
    drive(Load { address: ours.address(), clients: vec![Box::new(patcher)], length }, || Ok(()))?;
    Ok(())
}

/// One client patches one key at a time; `keeping` keeps ten versions.
pub(crate) fn patch(
    ours: &Server,
    keeping: &Server,
    settings: &Settings,
    scratch: &Scratch,
) -> Result<Outcome> {
    fill(ours, "large", settings.keys)?;
    fill(ours, "small", KEYS_FEW)?;
    fill(keeping, "large", settings.keys)?;
    let contender = |name, (server, namespace): (_, &'static str), keys, goals| {
        let make: MakeClient<'_> = Box::new(move |_| Box::new(Patcher::new(namespace, keys, 1)));
        Contender { name, work: Work::Load(server, make), goals }
    };
    let goals = vec![goal(P50, AtMost(1.5)), goal(Written, AtMost(1.5))];
    let contenders = vec![
        contender("many keys", (ours, "large"), settings.keys, vec![]),
        contender("100 keys", (ours, "small"), KEYS_FEW, goals),
        contender("many keys, ten versions kept", (keeping, "large"), settings.keys, vec![]),
    ];
    let title = format!("PATCH of 1 key of {}", settings.keys);
    hold(title, 1, contenders, settings, scratch)
}
