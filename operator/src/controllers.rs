//! All controllers of a process, each over every namespace of its scope.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt, join_all};
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::options::Scope;
use crate::{namespace, source, store};

/// Runs until `shutdown`; reconciles under way are finished first.
pub async fn run_controllers(context: Arc<Context>, shutdown: CancellationToken) {
    let scopes = match &context.options.scope {
        Scope::Cluster => vec![None],
        Scope::Namespaces(names) => names.iter().cloned().map(Some).collect(),
    };
    let controllers = scopes.into_iter().flat_map(|scope: Option<String>| {
        let context = || Arc::clone(&context);
        let all: [BoxFuture<'static, ()>; 3] = [
            store::run(context(), scope.clone(), shutdown.clone()).boxed(),
            namespace::run(context(), scope.clone(), shutdown.clone()).boxed(),
            source::run(context(), scope, shutdown.clone()).boxed(),
        ];
        all
    });
    join_all(controllers.collect::<Vec<_>>()).await;
}
