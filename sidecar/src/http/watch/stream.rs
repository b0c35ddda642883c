//! The stream of one watch. It holds its place in the ring of changes and the piece that is being
//! sent, and makes the next one when the connection takes it: a client that does not read costs no
//! more than one that does.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use stowage_store::{
    Changed, Changes, EntityTag, Key, MemberKey, Namespace, Object, StoreError, What,
};
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::event::{self, COMMENT, END, Kind};
use super::past::{Next, Past, Pieces};
use super::texts::{Lost, Text};
use super::{Access, Place, Watched};
use crate::http::app::App;
use crate::http::document;
use crate::http::problem::Problem;
use crate::settings::Settings;

/// The length of a piece of a namespace's snapshot.
const PIECE_BYTES: usize = 64 << 10;

/// What a client has seen when its connection broke (WHATWG HTML §9.2.4).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Tells nginx to pass on what it gets.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// One client's watch.
struct Stream {
    app: Arc<App>,
    subject: Watched,
    changes: Changes,
    /// What is to be sent before anything else.
    ready: VecDeque<Bytes>,
    /// A namespace whose snapshot is being sent, and how far that is.
    snapshot: Option<(Arc<Namespace>, Option<MemberKey>)>,
    /// What is told from the history before the ring of changes.
    past: Option<Past>,
    /// What is left of a change from there that is being sent.
    pieces: Option<Pieces>,
    /// The id of the last event.
    id: Box<str>,
    access: Access,
    settings: watch::Receiver<Arc<Settings>>,
    /// When its rights were looked at last.
    checked: Instant,
    comments: Interval,
    _place: Place,
}

/// Answers with a stream: a snapshot, or what came after the last event that the client has seen,
/// and then each change.
///
/// # Errors
/// As a GET, but for 404: what is not there yet can be watched; 429 where the client watches
/// too much, 503 where too many watch.
pub(crate) async fn answer(
    app: &Arc<App>,
    headers: &HeaderMap,
    (access, subject): (Access, Watched),
) -> Result<Response, Problem> {
    let place = Place::take(app, &access)?;
    let settings = access.check_from_now_on(app)?;
    // How often a comment says that the connection lives.
    let mut comments = interval(app.settings.borrow().pace.comment_every);
    comments.set_missed_tick_behavior(MissedTickBehavior::Delay);
    comments.reset();
    let (start, changes) = Start::of(app, &subject).await?;
    let mut stream = Stream {
        app: Arc::clone(app),
        subject,
        changes,
        ready: VecDeque::new(),
        snapshot: None,
        past: None,
        pieces: None,
        id: "".into(),
        access,
        settings,
        checked: Instant::now(),
        comments,
        _place: place,
    };
    let seen = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    Box::pin(stream.begin(start, seen.filter(|id| !id.is_empty()))).await?;
    let frames = stream::unfold(stream, async |mut stream| {
        let frame = stream.next().await?;
        Some((Ok::<_, std::convert::Infallible>(frame), stream))
    });
    let mut response = document::untagged(Body::from_stream(frames));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// What stands there when a watch begins.
enum Start {
    Object(Option<Arc<Object>>),
    Namespace(Arc<Namespace>),
}

impl Start {
    /// What stands there, and what comes after it.
    async fn of(app: &App, subject: &Watched) -> Result<(Self, Changes), StoreError> {
        Ok(match subject {
            Watched::Document(key) | Watched::Set(key) => {
                let (object, changes) = app.store.watch(key).await?;
                (Self::Object(object), changes)
            }
            Watched::Namespace(key) => {
                let (namespace, changes) = app.store.watch_namespace(key).await?;
                (Self::Namespace(namespace), changes)
            }
        })
    }
}

impl Stream {
    /// Begins after the event that the client has seen, where that can be found, else with a
    /// snapshot.
    async fn begin(&mut self, start: Start, seen: Option<&str>) -> Result<(), Problem> {
        let current = match &start {
            Start::Object(object) => object.as_ref().map(|object| object.tag.clone()),
            Start::Namespace(namespace) => Some(namespace.tag()),
        };
        let data = match start {
            Start::Namespace(namespace) => {
                self.id = (*namespace.tag().opaque()).into();
                self.snapshot = Some((namespace, None));
                None
            }
            Start::Object(object) => {
                let (tag, data) = self.view(object.as_ref())?;
                self.id = id(tag.as_ref());
                Some(data)
            }
        };
        if let Some(seen) = seen
            && (*seen == *self.id || self.resume_after(seen))
        {
            self.id = seen.into();
            self.snapshot = None;
            // So that the client learns at once that it is connected.
            self.ready.push_back(COMMENT);
            return Ok(());
        }
        if let (Some(seen), Some(current)) = (seen, current)
            && let Some(past) = Past::between(&self.app, &self.subject, seen, &current).await
        {
            self.past = Some(past);
            self.id = seen.into();
            self.snapshot = None;
            self.ready.push_back(COMMENT);
            return Ok(());
        }
        match data {
            Some(data) => self.ready.extend(event::event(Kind::Snapshot, &self.id, data)),
            None => self.ready.push_back(event::head(Kind::Snapshot, &self.id).into()),
        }
        Ok(())
    }

    fn resume_after(&mut self, seen: &str) -> bool {
        let (app, subject) = (Arc::clone(&self.app), self.subject.clone());
        self.changes.resume_after(|changed| match (&subject, &changed.what) {
            (Watched::Document(_), What::Document(object)) => {
                object.as_ref().is_some_and(|object| *object.tag.opaque() == *seen)
            }
            (_, What::Namespace { version, .. }) => {
                *EntityTag::from_version(*version).opaque() == *seen
            }
            _ => written(&app, &subject, changed).first().is_some_and(|id| *id == seen),
        })
    }

    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            // What is to be told may take long, and must not outlast the right to it.
            if self.settings.has_changed().ok()? || self.checked.elapsed() >= self.comments.period()
            {
                self.check()?;
            }
            if let Some(piece) = self.ready.pop_front() {
                return Some(piece);
            }
            if self.app.shutdown.is_cancelled() {
                return None;
            }
            if let Some(piece) = self.snapshot_piece() {
                return Some(piece);
            }
            if let Some(pieces) = &mut self.pieces {
                // Half an event cannot be taken back, and the client comes back by itself.
                let Some(piece) = pieces.next(&self.app).await.ok()? else {
                    self.pieces = None;
                    return Some(END);
                };
                return Some(piece);
            }
            if let Some(past) = &mut self.past {
                // Who takes the past more slowly than changes come would not keep up with them.
                if self.changes.is_behind() {
                    return None;
                }
                match past.next(&self.app).await {
                    Ok(Some(next)) => self.tell(next),
                    Ok(None) => self.past = None,
                    Err(Lost) => self.begin_anew().await?,
                }
                continue;
            }
            tokio::select! {
                biased;
                () = self.app.shutdown.cancelled() => return None,
                changed = self.settings.changed() => {
                    changed.ok()?;
                    self.check()?;
                }
                _ = self.comments.tick() => {
                    // Credentials may have an end that no change of the settings tells.
                    self.check()?;
                    return Some(COMMENT);
                }
                // The client comes back, and says what it has seen.
                changed = self.changes.next() => {
                    let changed = changed.ok()?;
                    self.take(&changed)?;
                },
            }
        }
    }

    /// Makes a change of the past ready to be sent.
    fn tell(&mut self, next: Next) {
        let (Next::Short(Text { id, .. }) | Next::Long(id, _)) = &next;
        // As for those of the present.
        if *id == self.id && !matches!(self.subject, Watched::Document(_)) {
            return;
        }
        self.id.clone_from(id);
        match next {
            Next::Short(text) => {
                self.ready.extend(event::event_of_lines(Kind::Change, &text.id, text.data));
            }
            Next::Long(id, pieces) => {
                self.ready.push_back(event::head(Kind::Change, &id).into());
                self.pieces = Some(pieces);
            }
        }
    }

    fn check(&mut self) -> Option<()> {
        self.checked = Instant::now();
        let settings = Arc::clone(&self.settings.borrow_and_update());
        self.access.check(&self.app, &settings).ok()
    }

    /// Goes on with what stands there now, where what led to it cannot be told.
    async fn begin_anew(&mut self) -> Option<()> {
        let (start, changes) = Start::of(&self.app, &self.subject).await.ok()?;
        (self.changes, self.past) = (changes, None);
        self.begin(start, None).await.ok()
    }

    fn snapshot_piece(&mut self) -> Option<Bytes> {
        let (namespace, after) = self.snapshot.take()?;
        let (piece, last) = namespace.snapshot_part(after.as_ref(), PIECE_BYTES);
        match last {
            Some(last) => self.snapshot = Some((namespace, Some(last))),
            None => self.ready.push_back(END),
        }
        Some(piece)
    }

    /// Makes a change ready to be sent. `None` where it cannot be told.
    fn take(&mut self, changed: &Changed) -> Option<()> {
        let (id, frames) = written(&self.app, &self.subject, changed).split_first()?;
        // A commit that changes none of a set's files is none of the set.
        if **id != *self.id.as_bytes() || matches!(self.subject, Watched::Document(_)) {
            self.id = std::str::from_utf8(id).ok()?.into();
            self.ready.extend(frames.iter().cloned());
        }
        Some(())
    }

    fn view(&self, object: Option<&Arc<Object>>) -> Result<View, StoreError> {
        view(&self.app, &self.subject, object)
    }
}

/// What a client gets of an object: the tag, `None` where nothing is served, and the text.
pub(super) type View = (Option<EntityTag>, Bytes);

pub(super) fn view(
    app: &App,
    subject: &Watched,
    object: Option<&Arc<Object>>,
) -> Result<View, StoreError> {
    const NOTHING: Bytes = Bytes::from_static(b"null");
    let Some(object) = object else { return Ok((None, NOTHING)) };
    match subject {
        Watched::Set(key) => set_view(app, key, object, NOTHING),
        Watched::Document(_) | Watched::Namespace(_) => {
            Ok((Some(object.tag.clone()), object.body.clone()))
        }
    }
}

/// A set that is empty is not served.
fn set_view(app: &App, key: &Key, object: &Object, nothing: Bytes) -> Result<View, StoreError> {
    let set = app.sets.parse(key, object)?;
    if set.is_empty() {
        return Ok((None, nothing));
    }
    Ok((Some(set.tag().clone()), set.files_json()))
}

pub(super) fn id(tag: Option<&EntityTag>) -> Box<str> {
    tag.map_or_else(|| "".into(), |tag| (*tag.opaque()).into())
}

/// A change on the wire: its id, then the event; made once for all who watch. Nothing where it
/// cannot be told.
fn written<'a>(app: &App, subject: &Watched, changed: &'a Changed) -> &'a [Bytes] {
    changed.written(|what| {
        let (id, data) = match what {
            What::Namespace { version, operations, .. } => {
                (version.to_string().into(), event::patch(*version, operations))
            }
            What::Document(object) => match view(app, subject, object.as_ref()) {
                Ok((tag, data)) => (id(tag.as_ref()), data),
                Err(error) => {
                    tracing::error!(%error, "a change cannot be told to those who watch");
                    return Vec::new();
                }
            },
        };
        let event = event::event(Kind::Change, &id, data);
        [Bytes::from(id.into_boxed_bytes())].into_iter().chain(event).collect()
    })
}
