//! What fuzz targets of `fuzz/` run, and the test over their seeds; compiled for tests and under
//! `cfg(fuzzing)`, which `cargo fuzz` sets, alone.

mod entity_tags;
mod headers;
mod json;
mod paths;
mod tokens;

pub use entity_tags::entity_tags;
pub use headers::headers;
pub use json::json;
pub use paths::paths;
pub use tokens::tokens;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// What is committed for a target: seeds written by hand, and inputs that once found something.
    fn passes_its_seeds(name: &str, target: fn(&[u8])) {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(name);
        let seeds: Vec<_> = fs::read_dir(directory).expect("the seeds").collect();
        assert!(!seeds.is_empty(), "there are seeds for {name}");
        for seed in seeds {
            target(&fs::read(seed.expect("an entry").path()).expect("a seed"));
        }
    }

    #[test]
    fn the_targets_pass_their_seeds() {
        passes_its_seeds("entity_tags", super::entity_tags);
        passes_its_seeds("headers", super::headers);
        passes_its_seeds("json", super::json);
        passes_its_seeds("paths", super::paths);
        passes_its_seeds("tokens", super::tokens);
    }
}
