//! Writes the CustomResourceDefinitions to `crds/yaml/` and their reference to
//! `docs/resources.md`; or the definitions alone to standard output.

use std::io::Write;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("yaml");
    let to_stdout = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("-") => true,
        Some(_) => return Err("usage: crdgen [-]   (-: to standard output)".into()),
    };
    for definition in stowage_crds::definitions() {
        let text = stowage_crds::yaml(&definition)?;
        if to_stdout {
            std::io::stdout().write_all(text.as_bytes())?;
        } else {
            std::fs::create_dir_all(&directory)?;
            let name = definition.metadata.name.unwrap_or_default();
            std::fs::write(directory.join(format!("{name}.yaml")), text)?;
        }
    }
    if !to_stdout {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/resources.md");
        std::fs::write(page, stowage_crds::reference())?;
    }
    Ok(())
}
