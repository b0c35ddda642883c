//! Waits until Stores answer that they are ready, over HTTP as any client would.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::addresses;

const PROBE_INTERVAL: Duration = Duration::from_millis(25);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a Store that is not ready is named.
const REMINDER_INTERVAL: Duration = Duration::from_secs(10);

/// Returns once every Store (name and second address) has answered 200 on `/readyz`. Without a
/// deadline: a Store that cannot write may still serve reads, and says why in its answer.
pub(crate) async fn wait(stores: Vec<(String, SocketAddr)>) {
    let Ok(client) = reqwest::Client::builder().no_proxy().timeout(PROBE_TIMEOUT).build() else {
        tracing::error!("no HTTP client, so readiness cannot be seen");
        return std::future::pending().await;
    };
    for (store, management) in stores {
        let url = format!("{}/readyz", addresses::url(management));
        let mut ticks = interval(PROBE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reminded = Instant::now();
        loop {
            ticks.tick().await;
            let answer = client.get(&url).send().await;
            if answer.as_ref().is_ok_and(|a| a.status().is_success()) {
                break;
            }
            if reminded.elapsed() >= REMINDER_INTERVAL {
                reminded = Instant::now();
                tracing::warn!(store, url, "a Store is not ready yet; its answer there says why");
            }
        }
    }
}
