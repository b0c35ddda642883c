//! What can be wrong with the server.

/// One thing that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// `If-Match` compares weakly.
    WeakIfMatch,
    /// `If-None-Match` compares strongly.
    StrongNoneMatch,
    /// `If-Match` is not looked at.
    IgnoresIfMatch,
    /// `If-Match` is not looked at by a delete.
    DeletesAnyway,
    /// `If-None-Match: *` is not looked at by a write.
    IgnoresCreate,
    /// `If-Match: *` holds where nothing is there.
    StarOnNothing,
    /// A 412 writes all the same.
    RefusalWrites,
    /// Comparison and write are two steps.
    NotAtomic,
    /// A write is seen before it is whole.
    TornWrites,
    /// The tag stays as it is.
    TagStays,
    /// The tag is the length.
    LengthTag,
    /// The tag is a hash of the bytes: the RFC allows it.
    HashTag,
    /// The tag stands without quotes.
    BareTag,
    /// Lists are split at every comma, and quotes are cut off.
    NaiveCommas,
    /// Only the first line counts.
    FirstLineOnly,
    /// A backslash escapes the quote after it.
    BackslashEscapes,
    /// Upper and lower case are the same.
    CaseFolding,
    /// A 304 has a body.
    BodyIn304,
    /// A 304 has no `ETag`.
    NoTagIn304,
    /// A 304 to a HEAD says the length of its empty body.
    EmptyLengthIn304,
    /// The answer to a HEAD has a body.
    BodyInHead,
    /// Conditions are looked at before credentials.
    ConditionsBeforeAuth,
    /// `If-None-Match` is looked at before `If-Match`.
    NoneMatchFirst,
    /// `If-Modified-Since` counts beside `If-None-Match`.
    DateBesideTag,
    /// `If-Modified-Since` stops a write.
    SinceStopsWrites,
    /// `Last-Modified` is a day ahead.
    FutureModified,
    /// `If-Range` compares weakly.
    WeakIfRange,
    /// `If-Range` is not looked at.
    IgnoresIfRange,
    /// A malformed `If-Match` is taken for none.
    MalformedPasses,
    /// A malformed `If-Match` is answered 500.
    MalformedFails,
    /// After a 412 the connection is cut, without a word.
    CutsAfter412,
    /// A 405 does not say what is allowed.
    NoAllow,
    /// No writes at all.
    ReadOnly,
}

impl Defect {
    /// The defects and the cases that find them.
    pub(crate) const ALL: &[(Self, &str)] = &[
        (Self::WeakIfMatch, "if-match/weak"),
        (Self::StrongNoneMatch, "if-none-match/get-weak"),
        (Self::IgnoresIfMatch, "if-match/stale"),
        (Self::IgnoresIfMatch, "races/counter"),
        (Self::DeletesAnyway, "if-match/delete-stale"),
        (Self::IgnoresCreate, "if-none-match/create-twice"),
        (Self::IgnoresCreate, "races/creators"),
        (Self::StarOnNothing, "if-match/star-absent"),
        (Self::RefusalWrites, "if-match/unknown"),
        (Self::NotAtomic, "races/writers"),
        (Self::NotAtomic, "races/creators"),
        (Self::TornWrites, "races/readers"),
        (Self::TagStays, "etag/changes-with-length"),
        (Self::TagStays, "races/readers"),
        (Self::LengthTag, "etag/changes"),
        (Self::HashTag, "etag/aba"),
        (Self::BareTag, "etag/syntax"),
        (Self::NaiveCommas, "lists/comma-torn"),
        (Self::FirstLineOnly, "lists/lines"),
        (Self::BackslashEscapes, "lists/backslash"),
        (Self::CaseFolding, "if-match/case"),
        (Self::BodyIn304, "not-modified/no-body"),
        (Self::NoTagIn304, "not-modified/etag"),
        (Self::EmptyLengthIn304, "not-modified/head-length"),
        (Self::BodyInHead, "head/no-body"),
        (Self::ConditionsBeforeAuth, "order/auth-write"),
        (Self::NoneMatchFirst, "order/match-before-none-match"),
        (Self::DateBesideTag, "order/none-match-over-modified"),
        (Self::SinceStopsWrites, "dates/since-put"),
        (Self::FutureModified, "etag/last-modified"),
        (Self::WeakIfRange, "ranges/if-range-weak"),
        (Self::IgnoresIfRange, "ranges/if-range-other"),
        (Self::MalformedPasses, "malformed/unquoted"),
        (Self::MalformedFails, "malformed/unquoted"),
        (Self::CutsAfter412, "connections/after-412"),
        (Self::NoAllow, "order/allow"),
    ];
}
