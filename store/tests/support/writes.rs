//! What the process writes that `kill.rs` kills, as both sides compute it.

/// How many tasks write, each to a document and a member of its own.
pub(crate) const WRITERS: usize = 4;

/// What a writer's document is after its write of this number; every fifth one deletes it.
pub(crate) fn document_after(sequence: u64) -> Option<String> {
    (!sequence.is_multiple_of(5)).then(|| padded(sequence))
}

/// Long enough to take several pages, and different at each end, so that a part would show.
pub(crate) fn padded(sequence: u64) -> String {
    let length = usize::try_from(sequence * 7_919 % 50_000).unwrap_or_default();
    format!("{sequence}:{}:{sequence}", "x".repeat(length))
}
