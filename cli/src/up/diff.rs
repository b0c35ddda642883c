//! What has to be done to get from what is served to what should be: pure.

use std::collections::BTreeSet;

use super::plan::{BranchKey, OnRemoval, Plan};

/// The steps, in the order in which they are taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Steps {
    /// Branches whose sync ends: gone, changed, or their Store stops.
    pub(crate) stop_branches: Vec<BranchKey>,
    /// Stores whose settings change while they are served.
    pub(crate) reconfigure: Vec<String>,
    /// Stores that are served and should not be: suspended or removed.
    pub(crate) stop: Vec<String>,
    /// StoreNamespaces that are no longer in the manifests, or whose Store is not.
    pub(crate) unbind: Vec<String>,
    /// Stores that are no longer in the manifests.
    pub(crate) remove: Vec<(String, OnRemoval)>,
    /// Stores that should be served and are not.
    pub(crate) start: Vec<String>,
    /// Branches whose sync begins, once their Store is served.
    pub(crate) start_branches: Vec<BranchKey>,
}

/// What runs at present; it may lag behind what was asked for where a start failed.
#[derive(Debug, Default)]
pub(crate) struct Running {
    pub(crate) stores: BTreeSet<String>,
    pub(crate) branches: BTreeSet<BranchKey>,
}

/// Compares what was asked for before, and of that what runs, with what is asked for now.
pub(crate) fn steps(before: &Plan, running: &Running, next: &Plan) -> Steps {
    let wanted = |name: &str| next.store(name).is_some_and(|store| !store.suspended);
    let runs = |name: &str| running.stores.contains(name);
    let changed = |key: &BranchKey| before.branches.get(key) != next.branches.get(key);
    let names = |plan: &Plan| -> BTreeSet<String> {
        let namespaces = plan.stores.iter().flat_map(|store| &store.namespaces);
        namespaces.map(|namespace| namespace.name.clone()).collect()
    };
    Steps {
        stop_branches: running
            .branches
            .iter()
            .filter(|key| changed(key) || !wanted(&key.store))
            .cloned()
            .collect(),
        reconfigure: next
            .stores
            .iter()
            .filter(|store| runs(&store.name) && !store.suspended)
            .filter(|store| before.store(&store.name) != Some(store))
            .map(|store| store.name.clone())
            .collect(),
        stop: running.stores.iter().filter(|name| !wanted(name)).cloned().collect(),
        unbind: names(before).difference(&names(next)).cloned().collect(),
        remove: before
            .stores
            .iter()
            .filter(|store| next.store(&store.name).is_none())
            .map(|store| (store.name.clone(), store.on_removal))
            .collect(),
        start: next
            .stores
            .iter()
            .filter(|store| !store.suspended && !runs(&store.name))
            .map(|store| store.name.clone())
            .collect(),
        start_branches: next
            .branches
            .keys()
            .filter(|key| wanted(&key.store))
            .filter(|key| changed(key) || !running.branches.contains(key))
            .cloned()
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stowage_config::SyncConfig;

    use super::super::examples::{namespace, store};
    use super::super::plan::BranchPlan;
    use super::*;

    fn key(branch: &str, store: &str) -> BranchKey {
        BranchKey { source: "etl".into(), branch: branch.into(), store: store.into() }
    }

    fn branch(url: &str) -> BranchPlan {
        let config: SyncConfig = serde_json::from_value(serde_json::json!({
            "repoId": "etl", "branch": "main", "url": url, "target": {"url": ""},
        }))
        .unwrap();
        BranchPlan {
            environment: None,
            interval: Duration::from_secs(60),
            config,
            files: Default::default(),
            directory: Default::default(),
        }
    }

    fn base() -> Plan {
        Plan {
            stores: vec![store("a", &[]), store("b", &[])],
            branches: [(key("main", "a"), branch("u")), (key("dev", "b"), branch("u"))].into(),
            ..Plan::default()
        }
    }

    fn all(plan: &Plan) -> Running {
        Running {
            stores: plan.stores.iter().filter(|s| !s.suspended).map(|s| s.name.clone()).collect(),
            branches: plan.branches.keys().cloned().collect(),
        }
    }

    #[test]
    fn a_start_starts_everything_but_the_suspended() {
        let mut plan = base();
        plan.stores[1].suspended = true;
        let got = steps(&Plan::default(), &Running::default(), &plan);
        let expected = Steps {
            start: vec!["a".into()],
            start_branches: vec![key("main", "a")],
            ..Steps::default()
        };
        assert_eq!(got, expected);
    }

    #[test]
    fn each_change_leads_to_its_steps_and_no_others() {
        type Edit = fn(&mut Plan);
        let mut before = base();
        before.stores[0].namespaces.push(namespace("cart"));
        let table: Vec<(&str, Edit, Steps)> = vec![
            ("nothing", |_| {}, Steps::default()),
            ("order alone", |p| p.stores.reverse(), Steps::default()),
            (
                "settings",
                |p| p.stores[0].config.limits.max_json_bytes = "1Mi".parse().unwrap(),
                Steps { reconfigure: vec!["a".into()], ..Steps::default() },
            ),
            (
                "a tenant goes",
                |p| p.stores[0].namespaces.clear(),
                Steps {
                    reconfigure: vec!["a".into()],
                    unbind: vec!["cart".into()],
                    ..Steps::default()
                },
            ),
            (
                "suspended",
                |p| p.stores[0].suspended = true,
                Steps {
                    stop: vec!["a".into()],
                    stop_branches: vec![key("main", "a")],
                    ..Steps::default()
                },
            ),
            (
                "removed",
                |p| {
                    p.stores.remove(1);
                    p.branches.remove(&key("dev", "b"));
                },
                Steps {
                    stop: vec!["b".into()],
                    remove: vec![("b".into(), OnRemoval::Retain)],
                    stop_branches: vec![key("dev", "b")],
                    ..Steps::default()
                },
            ),
            (
                "added",
                |p| p.stores.push(store("c", &[])),
                Steps { start: vec!["c".into()], ..Steps::default() },
            ),
            (
                "source changed",
                |p| drop(p.branches.insert(key("dev", "b"), branch("other"))),
                Steps {
                    stop_branches: vec![key("dev", "b")],
                    start_branches: vec![key("dev", "b")],
                    ..Steps::default()
                },
            ),
            (
                "source suspended",
                |p| drop(p.branches.remove(&key("dev", "b"))),
                Steps { stop_branches: vec![key("dev", "b")], ..Steps::default() },
            ),
        ];
        for (case, edit, expected) in table {
            let mut next = before.clone();
            edit(&mut next);
            assert_eq!(steps(&before, &all(&before), &next), expected, "{case}");
        }
    }

    #[test]
    fn a_suspended_store_that_is_removed_follows_its_policy() {
        let mut before = base();
        before.stores[1].suspended = true;
        before.stores[1].on_removal = OnRemoval::Delete;
        before.branches.clear();
        let mut next = before.clone();
        next.stores.remove(1);
        let expected = Steps { remove: vec![("b".into(), OnRemoval::Delete)], ..Steps::default() };
        assert_eq!(steps(&before, &all(&before), &next), expected);
    }

    #[test]
    fn what_could_not_be_started_is_started_by_the_next_attempt() {
        let plan = base();
        let mut running = all(&plan);
        running.stores.remove("b");
        running.branches.remove(&key("dev", "b"));
        let expected = Steps {
            start: vec!["b".into()],
            start_branches: vec![key("dev", "b")],
            ..Steps::default()
        };
        assert_eq!(steps(&plan, &running, &plan), expected);
    }
}
