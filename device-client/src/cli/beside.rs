//! A command beside an agent that runs: it leaves the owner's wish, and says what the agent answers.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::{CliError, Io};
use crate::config::Config;
use crate::wishes::{Answer, AskError, Asked, Ticket, leave};

/// How long an answer is waited for: a check over a slow network takes so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// The agent that runs.
pub(super) struct Beside {
    /// ` (process 123)`, where it is known.
    pub(super) holder: String,
}

/// What the agent said.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Said {
    json: Value,
    #[serde(skip)]
    text: String,
}

/// The agent has the wish, and is busy.
#[derive(Debug, Serialize)]
struct Left {
    result: &'static str,
    #[serde(skip)]
    holder: String,
}

impl Beside {
    /// Leaves the wish, and says what comes of it. Its exit status.
    pub(super) fn ask(
        self,
        asked: Asked,
        config: &Config,
        json: bool,
        io: &mut Io<'_>,
    ) -> Result<u8, CliError> {
        let may_wait = asked != Asked::Check;
        let ticket = leave(&config.state, asked, io.now()).map_err(|error| not_left(&error))?;
        match answer(&ticket, io)? {
            Some(Answer::Said { status, text, json: value }) => {
                io.report(json, &Said { json: value, text })?;
                Ok(status)
            }
            Some(Answer::Failed { status, what, hint }) => Err(CliError::new(what, hint).status(status)),
            None if may_wait => {
                io.report(json, &Left { result: "left", holder: self.holder })?;
                Ok(0)
            }
            None => {
                // Nobody will read what it finds.
                let _ = ticket.take_back();
                let what = format!("the agent that runs{} is busy, and has not checked yet", self.holder);
                Err(CliError::new(what, "perennial-device status shows what it does; try again later"))
            }
        }
    }
}

/// The answer; `None` where none comes in time.
fn answer(ticket: &Ticket, io: &Io<'_>) -> Result<Option<Answer>, CliError> {
    let looks = PATIENCE.as_millis() / LOOK.as_millis();
    for _ in 0..looks {
        let hint = "run it as the user that owns the state";
        let answer = ticket.answer().map_err(|error| CliError::with_hint(&error, hint))?;
        if answer.is_some() || io.interrupt.is_on() {
            return Ok(answer);
        }
        std::thread::sleep(LOOK);
    }
    Ok(None)
}

fn not_left(error: &AskError) -> CliError {
    let hint = match error {
        AskError::File(_) => "run it as the user that owns the state",
        AskError::TooMany => "perennial-device status shows what the agent does; try again later",
        AskError::Random => "try again",
    };
    CliError::with_hint(error, hint)
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holder = &self.holder;
        writeln!(
            f,
            "The agent that runs{holder} is busy, and takes it up within a day, as soon as what it does now is done; \
             perennial-device status shows what that is."
        )
    }
}
