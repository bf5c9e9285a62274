//! The agent's end: wakes for a wish, takes each once, answers.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use perennial_schemas::Timestamp;
use rustix::fs::inotify;
use tokio::net::unix::pipe::Receiver;

use super::{ANSWER_LENGTH, Answer, Asked, FOLDER, File, WISH_LENGTH, WISHES, answer_path, parts};
use crate::files::{FileError, list, private_folder, read_limited, remove, write_secret};
use crate::http::HttpClient;

/// How often the agent looks where the system doesn't wake it.
const LOOK: Duration = Duration::from_secs(10);

/// Where wishes come in.
#[derive(Debug)]
pub struct Inbox {
    folder: PathBuf,
    /// Readable when a wish has come.
    watch: Option<OwnedFd>,
}

/// A wish that was taken out.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken {
    /// By which its answer is known.
    pub id: String,
    /// What is wanted; `None` where that can't be read, or is too old to count.
    pub asked: Option<Asked>,
}

impl Inbox {
    /// Makes the folder, for this user alone, and begins to watch it.
    ///
    /// # Errors
    /// [`FileError`] where the folder can't be made, or isn't this user's.
    pub fn open(state: &Path) -> Result<Self, FileError> {
        let folder = state.join(FOLDER);
        private_folder(&folder)?;
        let watch = watch(&folder).map_err(|error| {
            tracing::warn!(%error, "the system doesn't tell of the owner's wishes: they are looked for");
        });
        let inbox = Self { folder, watch: watch.ok() };
        // Answers that nobody has waited for.
        for name in list(&inbox.folder)?.iter().filter(|name| name.ends_with(".answer")) {
            remove(&inbox.folder.join(name))?;
        }
        Ok(inbox)
    }

    /// Whether a wish waits.
    pub fn waits(&self) -> bool {
        list(&self.folder).is_ok_and(|names| names.iter().any(|name| parts(name).is_some()))
    }

    /// Takes the wishes that wait, oldest first. Each is removed before it is given out.
    pub fn take(&self, now: Timestamp) -> Vec<Taken> {
        let mut names = list(&self.folder).unwrap_or_default();
        names.retain(|name| parts(name).is_some());
        names.sort();
        names.truncate(WISHES);
        names.iter().filter_map(|name| self.take_one(name, now)).collect()
    }

    fn take_one(&self, name: &str, now: Timestamp) -> Option<Taken> {
        let path = self.folder.join(name);
        let text = read_limited(&path, WISH_LENGTH);
        if let Err(error) = remove(&path) {
            tracing::warn!(%error, "a wish of the owner can't be taken: it would be obeyed for ever");
            return None;
        }
        let file = text.ok().and_then(|text| serde_json::from_slice::<File>(&text).ok());
        let asked = file.filter(|file| file.counts(now)).map(|file| file.asked);
        parts(name).map(|(_, id)| Taken { id: id.to_owned(), asked })
    }

    /// Answers a wish. Where nobody waits for the answer, it goes with the next start.
    pub fn answer(&self, id: &str, answer: &Answer) {
        let text = serde_json::to_vec(answer).unwrap_or_default();
        if text.len() as u64 > ANSWER_LENGTH || self.has_many_answers() {
            return;
        }
        if let Err(error) = write_secret(&answer_path(&self.folder, id), &text) {
            tracing::warn!(%error, "the owner's wish can't be answered");
        }
    }

    /// Answers that nobody took: commands that were killed. The oldest of them makes room.
    fn has_many_answers(&self) -> bool {
        let mut answers = list(&self.folder).unwrap_or_default();
        answers.retain(|name| name.ends_with(".answer"));
        if answers.len() < WISHES {
            return false;
        }
        answers.first().is_none_or(|name| remove(&self.folder.join(name)).is_err())
    }

    /// Waits so long, or until a wish comes, or the agent is to end.
    pub fn sleep(&self, client: &HttpClient, time: Duration) {
        match &self.watch {
            Some(watch) => client.sleep_or(time, changed(watch)),
            None => client.sleep(time.min(LOOK)),
        }
    }
}

fn watch(folder: &Path) -> Result<OwnedFd, rustix::io::Errno> {
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
    inotify::add_watch(&watch, folder, inotify::WatchFlags::MOVED_TO)?;
    Ok(watch)
}

/// Waits until something was moved into the folder, or was since this was asked last.
async fn changed(watch: &OwnedFd) {
    // Read like a pipe: tokio has no name of its own for it.
    let Ok(ready) = watch.try_clone().and_then(Receiver::from_owned_fd_unchecked) else {
        return std::future::pending().await;
    };
    let _ = ready.readable().await;
    let mut events = [0; 4096];
    while rustix::io::read(watch, &mut events).is_ok_and(|length| length > 0) {}
}
