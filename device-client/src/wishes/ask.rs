//! The command's end: leaves a wish, and looks for the answer.

use std::path::{Path, PathBuf};

use perennial_schemas::Timestamp;

use super::{ANSWER_LENGTH, Answer, Asked, FOLDER, FORMAT, File, WISHES, answer_path, parts};
use crate::files::{FileError, exists, list, read_if_there, remove, write_secret};

/// The wish can't be left.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The folder can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Too many wait.
    #[error("{WISHES} wishes wait for the agent already")]
    TooMany,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

/// A wish that was left.
#[derive(Debug)]
pub struct Ticket {
    folder: PathBuf,
    id: String,
    wish: PathBuf,
}

/// Leaves a wish for the agent that runs on the state in `state`, behind those that wait.
///
/// # Errors
/// [`AskError`].
pub fn leave(state: &Path, asked: Asked, now: Timestamp) -> Result<Ticket, AskError> {
    let folder = state.join(FOLDER);
    let names = list(&folder)?;
    let waiting: Vec<u32> = names.iter().filter_map(|name| parts(name)).map(|(number, _)| number).collect();
    if waiting.len() >= WISHES {
        return Err(AskError::TooMany);
    }
    let number = waiting.into_iter().max().map_or(1, |last| last.saturating_add(1));
    let mut id = [0; 8];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut id)
        .map_err(|_| AskError::Random)?;
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let wish = folder.join(format!("{number:08}-{id}.wish"));
    let file = File { format: FORMAT.into(), at: now, asked };
    write_secret(&wish, &serde_json::to_vec(&file).unwrap_or_default())?;
    Ok(Ticket { folder, id, wish })
}

impl Ticket {
    /// The answer, once it is there; it is taken away.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn answer(&self) -> Result<Option<Answer>, FileError> {
        let path = answer_path(&self.folder, &self.id);
        let Some(text) = read_if_there(&path, ANSWER_LENGTH)? else { return Ok(None) };
        remove(&path)?;
        Ok(serde_json::from_slice(&text).ok())
    }

    /// Takes the wish back, unless the agent has it already. Whether it was taken back.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn take_back(&self) -> Result<bool, FileError> {
        let waited = exists(&self.wish);
        remove(&self.wish).map(|()| waited)
    }
}
