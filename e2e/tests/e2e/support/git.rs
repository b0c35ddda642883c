//! A Git server in the cluster: `examples/cluster/try/git-server.yaml`.

use super::namespace::Namespace;
use super::{image_repository, repository};

/// The repository of the quickstart, at `http://git/etl.git`.
pub(crate) struct Repository<'a> {
    namespace: &'a Namespace,
}

impl<'a> Repository<'a> {
    /// Starts the server and makes the repository.
    pub(crate) fn serve(namespace: &'a Namespace) -> Self {
        let manifest = std::fs::read_to_string(repository("examples/cluster/try/git-server.yaml"));
        let manifest = manifest
            .unwrap()
            .replace("IMAGE_REPOSITORY", &image_repository())
            .replace("IMAGE_TAG", env!("CARGO_PKG_VERSION"));
        namespace.apply(&manifest);
        namespace.kubectl(&["rollout", "status", "--timeout=3m", "deployment/git"]);
        let script = std::fs::read_to_string(repository("scripts/quickstart-repository.sh"));
        let made = Self { namespace };
        let shell = ["exec", "-i", "deploy/git", "--", "sh", "-s", "/srv/git/etl.git"];
        namespace.kubectl_with(&shell, &script.unwrap());
        made
    }

    /// Commits one file to `main`, as from a clone of somebody's, and gives the commit.
    pub(crate) fn commit(&self, file: &str, content: &str) -> String {
        let script = format!(
            "set -eu\n\
             work=$(mktemp -d)\n\
             trap 'rm -rf \"$work\"' EXIT\n\
             git clone --quiet /srv/git/etl.git \"$work\"\n\
             cat >\"$work/{file}\" <<'CONTENT'\n{content}\nCONTENT\n\
             git -C \"$work\" add .\n\
             git -C \"$work\" -c user.name=ETL -c user.email=etl@example.com commit --quiet -m 'A change'\n\
             git -C \"$work\" push --quiet origin HEAD:main >&2\n\
             git -C \"$work\" rev-parse HEAD\n"
        );
        let shell = ["exec", "-i", "deploy/git", "--", "sh", "-s"];
        self.namespace.kubectl_with(&shell, &script).trim().to_owned()
    }

    /// The commit of `main`.
    pub(crate) fn head(&self) -> String {
        let ask =
            ["exec", "deploy/git", "--", "git", "-C", "/srv/git/etl.git", "rev-parse", "main"];
        self.namespace.kubectl(&ask).trim().to_owned()
    }
}
