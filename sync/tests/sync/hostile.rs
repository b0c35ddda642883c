//! Repositories and names made to do harm.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use stowage_sync::Outcome;

use crate::file_config;
use crate::support::{DEADLINE, Recorder, Repository, Scratch, config};

#[tokio::test]
async fn names_and_urls_that_could_be_options_never_reach_git() {
    let dir = tempfile::tempdir().unwrap();
    let proof = dir.path().join("proof");
    let touch = format!("touch {}", proof.display());
    let table = [
        ("file:///nowhere", "--upload-pack=x", "NameRefused"),
        ("file:///nowhere", "-b", "NameRefused"),
        ("file:///nowhere", "main:refs/heads/x", "NameRefused"),
        ("file:///nowhere", "../x", "NameRefused"),
        (&format!("--upload-pack={touch}"), "main", "UrlRefused"),
        (&format!("ext::sh -c {touch}"), "main", "UrlRefused"),
        (&format!("ssh://-oProxyCommand={touch}/x"), "main", "UrlRefused"),
        ("https://me:s3cret@git.example/a", "main", "UrlRefused"),
        ("/etc", "main", "UrlRefused"),
    ];
    for (url, branch, reason) in table {
        let report = Scratch::new().sync(&config(url, branch), &Recorder::default()).await;
        assert_eq!((report.outcome, report.reason.as_str()), (Outcome::Failed, reason), "{url}");
        assert!(report.message.len() > 30, "{report:?}");
    }
    assert!(!proof.exists());
}

#[tokio::test]
async fn symbolic_links_and_submodules_are_refused_by_name() {
    let (repository, recorder) = (Repository::with_config(), Recorder::default());
    std::os::unix::fs::symlink("/etc/passwd", repository.path().join("out-runtime.yaml")).unwrap();
    let commit = repository.git(["rev-parse", "HEAD"]).trim().to_owned();
    let module = format!("160000,{commit},module-runtime.yaml");
    repository.git(["add", "--all"]);
    repository.git(["update-index", "--add", "--cacheinfo", &module]);
    repository.git(["commit", "--quiet", "--message", "links"]);
    let report = Scratch::new().sync(&file_config(&repository), &recorder).await;
    assert_eq!(report.outcome, Outcome::Invalid, "{report:?}");
    let got: Vec<_> =
        report.invalid.iter().map(|f| (f.file.as_str(), f.errors[0].message.as_str())).collect();
    assert_eq!(got.len(), 2, "{got:?}");
    assert!(got[0].0 == "module-runtime.yaml" && got[0].1.contains("submodule"), "{got:?}");
    assert!(got[1].0 == "out-runtime.yaml" && got[1].1.contains("symbolic link"), "{got:?}");
    assert_eq!(recorder.count(), 0);
}

/// Trees that no `git add` makes: a path that leads out, and one that stands twice.
#[tokio::test]
async fn hand_made_trees_are_refused() {
    let repository = Repository::with_config();
    let blob = repository.git(["rev-parse", "HEAD:runtime.yaml"]).trim().to_owned();
    let make_tree = |entries: &[(&str, &str, &str)]| {
        let mut bytes = Vec::new();
        for (mode, name, id) in entries {
            bytes.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            let digits = id.as_bytes().chunks(2);
            bytes.extend(
                digits.map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()),
            );
        }
        let file = repository.path().join(".git/raw-tree");
        std::fs::write(&file, bytes).unwrap();
        let file = file.to_str().unwrap();
        repository.git(["hash-object", "-t", "tree", "-w", "--literally", file]).trim().to_owned()
    };
    let inner = make_tree(&[("100644", "evil-runtime.yaml", &blob)]);
    let out = make_tree(&[("40000", "..", &inner)]);
    let twice = make_tree(&[("100644", "runtime.yaml", &blob), ("100644", "runtime.yaml", &blob)]);
    let table = [(out, "../evil-runtime.yaml", "path cannot"), (twice, "runtime.yaml", "twice")];
    for (tree, file, message) in table {
        let commit = repository.git(["commit-tree", &tree, "-m", "hand-made"]);
        repository.git(["update-ref", "refs/heads/odd", commit.trim()]);
        let mut config = file_config(&repository);
        config.branch = "odd".to_owned();
        let report = Scratch::new().sync(&config, &Recorder::default()).await;
        assert_eq!(report.outcome, Outcome::Invalid, "{report:?}");
        assert_eq!(report.invalid[0].file, file);
        assert!(report.invalid[0].errors[0].message.contains(message), "{report:?}");
    }
}

/// Thirty levels of a tree that holds the next one ten times: a listing without end.
#[tokio::test]
async fn a_tree_bomb_is_left_at_the_limit() {
    let repository = Repository::with_config();
    let mut id = repository.git(["rev-parse", "HEAD^{tree}"]).trim().to_owned();
    for _ in 0..30 {
        let entries: String = (0..10).map(|n| format!("040000 tree {id}\td{n}\n")).collect();
        let file = repository.path().join(".git/entries");
        std::fs::write(&file, entries).unwrap();
        let made = Command::new("git")
            .args(["mktree"])
            .current_dir(repository.path())
            .stdin(Stdio::from(std::fs::File::open(file).unwrap()))
            .output()
            .unwrap();
        id = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    }
    let commit = repository.git(["commit-tree", &id, "-m", "bomb"]);
    repository.git(["update-ref", "refs/heads/bomb", commit.trim()]);
    let mut config = file_config(&repository);
    config.branch = "bomb".to_owned();
    let report = Scratch::new().sync(&config, &Recorder::default()).await;
    assert_eq!(
        (report.outcome, report.reason.as_str()),
        (Outcome::Failed, "TooLarge"),
        "{report:?}"
    );
}

/// Runs in a process of its own, whose memory is then its alone.
#[tokio::test]
async fn an_alias_bomb_and_a_100_mb_file_cost_neither_memory_nor_time() {
    const CHILD: &str = "STOWAGE_TEST_CHILD";
    if std::env::var_os(CHILD).is_none() {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("hostile::an_alias_bomb_and_a_100_mb_file_cost_neither_memory_nor_time")
            .env(CHILD, "1")
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&child.stdout);
        let errors = String::from_utf8_lossy(&child.stderr);
        assert!(child.status.success() && output.contains("1 passed"), "{output}{errors}");
        return;
    }
    let mut bomb = "a0: &a0 [lol]\n".to_owned();
    for level in 1..=9 {
        let below = format!("*a{}, ", level - 1).repeat(9);
        bomb += &format!("a{level}: &a{level} [{below}]\n");
    }
    let (repository, recorder) = (Repository::new(), Recorder::default());
    repository.git(["config", "core.bigFileThreshold", "1m"]);
    let huge = std::fs::File::create(repository.path().join("huge-runtime.yaml")).unwrap();
    huge.set_len(100 << 20).unwrap();
    repository.commit(&[("bomb-runtime.yaml", &bomb)]);

    let started = Instant::now();
    let report = Scratch::new().sync(&file_config(&repository), &recorder).await;
    assert_eq!(report.outcome, Outcome::Invalid, "{report:?}");
    let messages: Vec<_> = report.invalid.iter().map(|f| f.errors[0].message.as_str()).collect();
    assert!(messages[0].contains("aliases"), "{messages:?}");
    assert!(messages[1].contains("104857600 bytes"), "{messages:?}");
    assert_eq!(recorder.count(), 0);
    assert!(started.elapsed() < DEADLINE - Duration::from_secs(5), "{:?}", started.elapsed());
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak_kib < 64 << 10, "the peak was {peak_kib} KiB");
}
