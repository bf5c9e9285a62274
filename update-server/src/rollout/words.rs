//! A rollout in words: one line of a list, the sentences of `explain`, and what somebody must look at, with commands that run as
//! they are printed but for the reason.

use super::failing::{Failures, Lost};
use super::record::State;
use super::view::{Consent, Holds, Rollout, StoppedFor, UNREADABLE};
use super::votes::Votes;
use perennial_gate::Verdict;
use perennial_schemas::rollout::WHOLE;

impl Rollout {
    /// What somebody must look at, each in one line with what to do; the most urgent first.
    pub fn alarms(&self) -> Vec<(&'static str, String, String)> {
        // No device takes it any more, whatever becomes of it.
        if self.superseded_by.is_some() {
            return Vec::new();
        }
        let name = format!("{} {}", self.product, self.version);
        let until = self.hold.as_ref().map_or(String::new(), Holds::in_short);
        let which: Vec<&str> = self.stopped.iter().map(|it| it.hardware.as_str()).collect();
        let stopped = match self.state.as_str() {
            "halted" => Some(("rollout_halted", format!("is halted: {}", self.reason))),
            "paused" => Some(("rollout_paused", format!("is paused by {}: {}", self.by, self.reason))),
            "foreign" => {
                let what = format!("the rollout of {name} can't be opened by this server: {}", self.reason);
                let hint = "have its signers publish a plan with this server's key, STATE/keys/rollout.pub.json; or bring the other server back".into();
                return vec![("rollout_key", what, hint)];
            }
            UNREADABLE => {
                let what = format!("rollouts stand still: {}", self.reason);
                let hint = "perennial-server store check names what is damaged; bring the state back from a backup, or ingest the bundle again";
                return vec![("rollout_damaged", what, hint.into())];
            }
            "withdrawn" => None,
            _ if !which.is_empty() => Some(("rollout_halted", format!("is halted for {}", which.join(", ")))),
            _ => None,
        };
        let Some((code, what)) = stopped else { return Vec::new() };
        let mut alarms = Vec::new();
        if let Some(hold) = self.hold.as_ref().filter(|hold| hold.goes_on()) {
            let since = if hold.is_over { "since" } else { "from" };
            let why = hold.consent.as_ref().map_or("as its signers planned".into(), Consent::words);
            let what = format!(
                "devices go on with {name} {since} {} on, although its rollout is stopped: {why}",
                hold.first
            );
            let hint = format!("to stop that, have it withdrawn: {}", self.withdraw());
            alarms.push(("rollout_goes_on", what, hint));
        }
        alarms.push((code, format!("the rollout of {name} {what}{until}"), self.remedy()));
        alarms
    }

    fn withdraw(&self) -> String {
        format!("perennial-signer withdraw {} {} --reason WORDS", self.product, self.version)
    }

    fn resume(&self) -> String {
        format!("perennial-server rollout resume {} {} --reason WORDS", self.product, self.version)
    }

    /// What to do about a halt.
    fn remedy(&self) -> String {
        let Self { product, version, .. } = self;
        if self.forgotten {
            return format!(
                "perennial-server rollout explain {product} {version} says where to look; was it not stopped since: {}",
                self.resume()
            );
        }
        format!(
            "perennial-server rollout explain {product} {version} says what failed, on which devices, and what may be done; is the release bad, its signers withdraw it: {}",
            self.withdraw()
        )
    }

    /// Everything that there is to say, in sentences.
    pub fn sentences(&self) -> Vec<String> {
        let Self { product, version, state, reason, .. } = self;
        if state == UNREADABLE {
            return self.alarms().into_iter().flat_map(|(_, what, hint)| [what, hint]).collect();
        }
        let by = if self.by == "server" { String::new() } else { format!(" by {}", self.by) };
        let since = self.since.map_or(String::new(), |since| format!(" since {since}{by}"));
        let mut out = vec![format!("{product} {version} is {state}{since}: {}", ended(reason))];
        for stopped in &self.stopped {
            let StoppedFor { hardware, since, reason, .. } = stopped;
            out.push(format!("It is halted for {hardware} since {since}: {}", ended(reason)));
        }
        if self.state != State::Withdrawn.as_str() {
            out.push(self.how_far());
        }
        if self.state != State::Withdrawn.as_str() || !self.votes.is_empty() {
            out.extend(self.counts());
        }
        match (self.state.as_str(), self.next_phase) {
            ("running", Some(next)) => {
                out.push(format!("Phase {} may begin from {next} on: {}.", self.phase + 1, self.waits()));
            }
            ("running", None) => out.push(format!("To the end: {}.", self.waits())),
            ("paused" | "halted", _) if self.verdict.starts_with("halt") => {
                out.push(format!("The evidence says: {}.", self.verdict));
            }
            _ => {}
        }
        if let Some(until) = self.catching_up_until {
            out.push(format!(
                "Devices that had been held come back one after another until {until}, and a little after it where they ask seldom."
            ));
        }
        out.extend(self.superseded_by.iter().map(|newer| {
            format!(
                "{newer} is open for every device that could take this one: nothing has to be done. Is this one bad, have it withdrawn all the same: {}.",
                self.withdraw()
            )
        }));
        out.extend(self.what_may_be_done());
        out
    }

    /// What a running rollout waits for.
    fn waits(&self) -> &str {
        if self.verdict == Verdict::GoOn.to_string() { "the evidence lets it" } else { &self.verdict }
    }

    fn how_far(&self) -> String {
        let Self { phase, phases, .. } = self;
        let planned = percent(self.planned_ppm);
        match self.state.as_str() {
            "paused" | "halted" => format!(
                "It is open for nobody; it had come to {} of the fleet, in phase {phase} of {phases}, and the plan has come to {planned}.",
                percent(self.reached_ppm)
            ),
            _ => format!(
                "It is open for {} of the fleet, in phase {phase} of {phases}; the plan has come to {planned}.",
                percent(self.open_ppm)
            ),
        }
    }

    fn counts(&self) -> Vec<String> {
        if let Some(why) = &self.uncounted {
            return vec![format!("Its votes can't be counted: {why}.")];
        }
        let mut all = Votes::default();
        self.votes.values().for_each(|votes| all += *votes);
        let Votes { started, confirmed, failed, rolled_back, missing, late, held, .. } = all;
        let missing = match self.missing_unknown {
            true => "how many of them are missing is unknown".into(),
            false => format!("{missing} of them missing"),
        };
        let mut out = vec![format!(
            "Devices: {confirmed} confirmed, {failed} failed, {rolled_back} rolled back, {started} began and have not told more ({missing})."
        )];
        if late > 0 {
            out.push(format!(
                "{late} of those that began are heard of, and have had the time to tell how it went."
            ));
        }
        if held > 0 {
            out.push(format!(
                "{held} more installed it while they should have been held: only their failures count."
            ));
        }
        out.extend(self.failures.iter().map(Failures::words));
        out.extend(self.lost.iter().map(Lost::words));
        out.extend(self.unnamed.iter().map(|why| {
            format!("On which devices it failed, and which fell silent, can't be looked up: {why}.")
        }));
        let mut newest = self.failures.iter().flat_map(|it| &it.newest);
        if let Some(one) = newest.next().or_else(|| self.lost.iter().flat_map(|it| &it.newest).next()) {
            out.push(format!("To look at one: perennial-server device show {}.", one.device));
        }
        if !self.set_aside.is_empty() {
            out.push("What was counted before somebody set it aside counts no more.".into());
        }
        out
    }

    fn what_may_be_done(&self) -> Vec<String> {
        let Self { product, version, .. } = self;
        let Some(hold) = self.hold.as_ref().filter(|_| self.superseded_by.is_none()) else {
            return Vec::new();
        };
        // Whoever was held comes back within catch_up of its own end.
        let (first, last) = (hold.first, hold.all_by);
        let lifts: Vec<&str> = self.stopped.iter().map(|it| it.hardware.as_str()).collect();
        let whose = match self.state.as_str() {
            "paused" | "halted" | "foreign" => String::new(),
            _ => format!(" of {}", lifts.join(", ")),
        };
        let mut out = vec![match (&hold.consent, hold.on_deadline.as_str(), hold.is_over) {
            (_, "silence", false) => format!(
                "Devices{whose} that wait go on by themselves, the first at {first}, the last by {last}, as its signers planned."
            ),
            (_, "silence", true) => format!(
                "Devices{whose} go on by themselves since {first} (the first), the last by {last}, as its signers planned."
            ),
            (Some(consent), _, is_over) => format!(
                "{}: devices{whose} go on {} {first} (the first) on; to stop that, withdraw it: {}.",
                capital(&consent.words()),
                if is_over { "since" } else { "from" },
                self.withdraw()
            ),
            (None, _, false) => format!(
                "Devices{whose} wait; from {first} (the first) to {last} (the last, after catching up) they go on if its signers have signed the product again since: perennial-signer release affirm {product} {version}."
            ),
            (None, _, true) => format!(
                "Devices{whose} wait; since {first} (the first) they go on as soon as its signers sign the product again, for whatever reason: perennial-signer release affirm {product} {version}."
            ),
        }];
        let resume = self.resume();
        let aside = if self.takes_words { " --set-aside-evidence" } else { "" };
        match self.state.as_str() {
            "foreign" => {}
            "paused" if self.forgotten => out.push(format!(
                "Look first at what devices were told since the copy was made: a status of it that was kept elsewhere (by a mirror, in an export, by whoever watches) says its state, and in `audit` the head of this log as it was then; perennial-server audit verify --head SEQUENCE:DIGEST tells whether this one has forgotten that. Was it stopped: perennial-server rollout halt {product} {version} --reason WORDS. Was it not: {resume}."
            )),
            "paused" => out.push(format!("To let it go on: {resume}.")),
            "halted" => {
                let lifts = match lifts.as_slice() {
                    [] => String::new(),
                    lifts => format!(
                        " For {0} it stays stopped then, until it is resumed with --hardware {1}.",
                        lifts.join(", "),
                        lifts[0]
                    ),
                };
                out.push(format!(
                    "If the release is bad: {}. If it isn't: {resume}{aside}.{lifts}",
                    self.withdraw()
                ));
            }
            _ => out.push(format!(
                "If the release is bad: {}. If it isn't: {}.",
                self.withdraw(),
                lifts
                    .iter()
                    .map(|hardware| format!("{resume} --hardware {hardware}{aside}"))
                    .collect::<Vec<_>>()
                    .join("; ")
            )),
        }
        out
    }

    /// How many of these votes are missing, where somebody has looked.
    pub(crate) fn missing_in(&self, votes: &Votes) -> String {
        match self.missing_unknown && votes.started > 0 {
            true => "missing unknown".into(),
            false => format!("{} missing", votes.missing),
        }
    }

    /// One line of a list.
    pub fn line(&self) -> String {
        if self.state == UNREADABLE {
            let name = [&self.product, &self.version].map(|it| if it.is_empty() { "?" } else { it });
            return format!("{} {}  {UNREADABLE}: {}", name[0], name[1], self.reason);
        }
        let mut all = Votes::default();
        self.votes.values().for_each(|votes| all += *votes);
        let stopped: Vec<&str> = self.stopped.iter().map(|it| it.hardware.as_str()).collect();
        let mut stopped =
            if stopped.is_empty() { String::new() } else { format!("  [halted for {}]", stopped.join(", ")) };
        if let Some(newer) = &self.superseded_by {
            stopped += &format!("  [superseded by {newer}: nothing to be done]");
        }
        let missing = self.missing_in(&all);
        let votes = match self.uncounted {
            Some(_) => "votes can't be counted".into(),
            None => format!("{} good, {} bad, {missing}", all.confirmed, all.failed + all.rolled_back),
        };
        if self.state == State::Withdrawn.as_str() {
            let since = self.since.map_or(String::new(), |since| format!(" since {since}"));
            // A list counts no votes of what is over; where one is shown they are counted.
            let votes = if self.votes.is_empty() { String::new() } else { format!("  {votes}") };
            return format!("{} {}  withdrawn{since}{votes}", self.product, self.version);
        }
        let open = match self.state.as_str() {
            "paused" | "halted" => format!("stopped at {}", percent(self.reached_ppm)),
            _ => format!("open {}", percent(self.open_ppm)),
        };
        format!(
            "{} {}  {}  {open} (plan {}), phase {} of {}  {votes}{stopped}",
            self.product,
            self.version,
            self.state,
            percent(self.planned_ppm),
            self.phase,
            self.phases,
        )
    }
}

impl Holds {
    /// Devices go on at its end, whatever this server says.
    pub(super) fn goes_on(&self) -> bool {
        self.consent.is_some() || (self.on_deadline == "silence" && self.is_over)
    }

    fn in_short(&self) -> String {
        let Self { first, .. } = self;
        let how = match self.on_deadline.as_str() {
            _ if self.goes_on() => return String::new(),
            "silence" => "by itself",
            _ if self.is_over => {
                return format!("; since {first} any signature of its signers lets it go on");
            }
            _ => "once its signers affirm it",
        };
        format!("; from {first} on it goes on {how}")
    }
}

impl Consent {
    fn words(&self) -> String {
        let whom =
            self.until.map_or(String::new(), |until| format!(", for devices whose time came before {until}"));
        format!("its signers signed again at {}{whom}", self.signed)
    }
}

/// A sentence's end: with one full stop, also where people wrote theirs.
fn ended(words: &str) -> String {
    let end = if words.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{words}{end}")
}

fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

/// A share in percent, without needless zeros.
pub fn percent(ppm: u32) -> String {
    let ppm = ppm.min(WHOLE);
    let parts = format!("{:04}", ppm % 10_000);
    let parts = parts.trim_end_matches('0');
    format!("{}{}{parts} %", ppm / 10_000, if parts.is_empty() { "" } else { "." })
}
