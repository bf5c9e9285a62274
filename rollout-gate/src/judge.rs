//! The verdict over a rollout's present phase.

use std::collections::BTreeMap;
use std::fmt;

use perennial_schemas::rollout::{Gate, WHOLE};
use perennial_schemas::{HardwareName, Timestamp};

use crate::evidence::{self, in_favour, least_more};
use crate::recent::{Part, Young};

/// How the devices fared that the plan had admitted: one vote each, the worst outcome wins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// It runs, and was healthy.
    pub confirmed: u64,
    /// It could not be installed.
    pub failed: u64,
    /// It ran, and the device went back.
    pub rolled_back: u64,
    /// They began, and have not been heard of for longer than usual.
    pub missing: u64,
    /// They began as long ago, are heard of, and have not told how it went.
    pub late: u64,
    /// Of these, those whose owner can't have put it off for so long.
    pub overdue: u64,
    /// All that began so long ago that they would be missing by now, had they fallen silent; 0 where nobody counted them.
    pub ripe: u64,
    /// They began, have not told how it went, and are not missing; the late among them.
    pub pending: u64,
    /// Nobody has looked which of those that began are missing: they are all among `pending`.
    pub unheard: bool,
    /// Those that began last.
    pub young: Young,
}

/// Devices of the same fleet that were not offered the release, and were heard of after it began: how many of them fell silent
/// since tells what silence is worth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Watched {
    /// Not heard of for as long as one that counts as missing.
    pub silent: u64,
    /// In all.
    pub all: u64,
}

/// What is known of a rollout.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Of all devices.
    pub all: Counts,
    /// By hardware revision.
    pub strata: Strata,
    /// Those not offered it.
    pub others: Watched,
    /// When the present phase was opened.
    pub phase_since: Option<Timestamp>,
}

/// Counts by hardware revision.
pub type Strata = BTreeMap<HardwareName, Counts>;

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Stop: the failures are more than the ceiling allows.
    Halt {
        /// The one revision that fails, or all.
        hardware: Option<HardwareName>,
        /// Its counts.
        counts: Box<Counts>,
    },
    /// The next phase may be opened.
    GoOn,
    /// Neither, for these reasons.
    Wait(Vec<WaitFor>),
}

/// What a phase waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitFor {
    /// The phase has not been watched for long enough.
    Soak {
        /// Until when.
        until: Timestamp,
    },
    /// Too few devices have told how it went.
    Sample {
        /// Told.
        told: u64,
        /// Needed.
        least: u64,
        /// Devices that began and have not told how it went.
        open: u64,
    },
    /// The counts don't show yet that failures are rarer than the ceiling.
    Proof {
        /// Failed, rolled back, or missing beyond what is usual.
        bad: u64,
        /// Of.
        told: u64,
        /// So many more without a failure would show it.
        more: u64,
        /// Devices that began and have not told how it went: only they, and those that are yet to begin, can show it.
        open: u64,
    },
    /// Most devices that began long enough ago have not told how it went, although they are heard of: those that are quick to
    /// tell are no sample.
    Late {
        /// They.
        late: u64,
        /// Of.
        of: u64,
    },
    /// More devices fell silent than among those that were not offered it, or never told how it went, and without them it would
    /// go on.
    Missing {
        /// The one revision that they are of, or all.
        hardware: Option<HardwareName>,
        /// They.
        missing: u64,
        /// As many as would be usual.
        usual: u64,
        /// Those that are heard of, and should have told by now.
        overdue: u64,
    },
}

impl Counts {
    /// Those that say the release is bad.
    pub fn bad(&self) -> u64 {
        self.failed + self.rolled_back
    }

    /// Those that have told how it went.
    pub fn told(&self) -> u64 {
        self.confirmed + self.bad()
    }

    /// Those that began and have not told how it went, the missing among them.
    pub fn open(&self) -> u64 {
        self.pending + self.missing
    }

    /// All that began: a failure is told sooner than a success, so whoever judges only by what was told judges by the failures
    /// first. The missing stay among them, or else a power cut in a town would make the failures elsewhere weigh more.
    fn tried(&self) -> u64 {
        self.told() + self.open()
    }

    /// How much they speak for a rate above `ceiling`: the most of what those say that began up to some time.
    fn against(&self, ceiling: f64) -> f64 {
        let left =
            |young: Part| (self.bad().saturating_sub(young.bad), self.tried().saturating_sub(young.tried));
        let said = |(bad, tried)| evidence::against(ceiling, bad, tried);
        let (mut last, mut most) = (Part::default(), said(left(Part::default())));
        for young in self.young.parts() {
            let (bad, tried) = left(young);
            // Where nobody more is left out, or failures are rarer than the ceiling, that is nothing new.
            if young != last && bad as f64 > ceiling * tried as f64 {
                most = most.max(said((bad, tried)));
            }
            last = young;
        }
        most
    }

    /// What is left without a part of them.
    #[must_use]
    pub fn without(&self, part: &Self) -> Self {
        Self {
            confirmed: self.confirmed.saturating_sub(part.confirmed),
            failed: self.failed.saturating_sub(part.failed),
            rolled_back: self.rolled_back.saturating_sub(part.rolled_back),
            missing: self.missing.saturating_sub(part.missing),
            late: self.late.saturating_sub(part.late),
            overdue: self.overdue.saturating_sub(part.overdue),
            ripe: self.ripe.saturating_sub(part.ripe),
            pending: self.pending.saturating_sub(part.pending),
            unheard: self.unheard,
            young: self.young.without(&part.young),
        }
    }

    /// Together with others.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        Self {
            confirmed: self.confirmed + others.confirmed,
            failed: self.failed + others.failed,
            rolled_back: self.rolled_back + others.rolled_back,
            missing: self.missing + others.missing,
            late: self.late + others.late,
            overdue: self.overdue + others.overdue,
            ripe: self.ripe + others.ripe,
            pending: self.pending + others.pending,
            unheard: self.unheard || others.unheard,
            young: self.young.and(&others.young),
        }
    }
}

/// How strongly the counts speak, beside what it takes: what a person is shown, and what a decision is recorded with.
#[derive(Debug, Clone, PartialEq)]
pub struct Bounds {
    /// How much the counts of the fleet speak for a rate above the ceiling; 1 where nothing was told.
    pub against: f64,
    /// It is halted once `against` comes to this.
    pub halts_at: f64,
    /// The same by hardware revision.
    pub strata: BTreeMap<HardwareName, f64>,
    /// One revision is halted once its own comes to this.
    pub stratum_halts_at: f64,
    /// How much the counts of the fleet speak for a rate below the ceiling.
    pub in_favour: f64,
    /// It may go on once `in_favour` comes to this.
    pub goes_on_at: f64,
}

/// How strongly the counts speak.
///
/// Half of the gate's `alpha` is for the fleet, half for its hardware revisions together, so that a rare one can halt itself
/// alone and the chance of any false halt stays below `alpha`. Where there is one revision, it is the fleet's.
pub fn bounds(gate: &Gate, evidence: &Evidence) -> Bounds {
    let (ceiling, alpha) = (share(gate.ceiling_ppm), share(gate.alpha_ppm));
    let strata = evidence.strata.len();
    let shared = if strata > 1 { alpha / 2.0 } else { alpha };
    let speaks = |counts: &Counts| counts.against(ceiling);
    Bounds {
        against: speaks(&evidence.all),
        halts_at: 1.0 / shared,
        strata: evidence.strata.iter().map(|(hardware, counts)| (hardware.clone(), speaks(counts))).collect(),
        stratum_halts_at: strata.max(1) as f64 / shared,
        in_favour: in_favour(ceiling, evidence.all.bad(), evidence.all.told()),
        goes_on_at: 1.0 / share(gate.beta_ppm),
    }
}

/// Judges. Silence alone never halts: it stops the advance.
///
/// Where one hardware revision is bad, and what the others told speaks rather for the release than against it, that one is
/// halted alone.
pub fn judge(gate: &Gate, evidence: &Evidence, now: Timestamp) -> Verdict {
    let bounds = bounds(gate, evidence);
    let bad = |(hardware, counts): (&HardwareName, &Counts)| {
        let its = bounds.strata.get(hardware).copied().unwrap_or(1.0);
        (its >= bounds.stratum_halts_at).then(|| (hardware.clone(), *counts))
    };
    let alone = if evidence.strata.len() > 1 { evidence.strata.iter().find_map(bad) } else { None };
    if let Some((hardware, counts)) = alone {
        let (ceiling, others) = (share(gate.ceiling_ppm), evidence.all.without(&counts));
        let are_better = in_favour(ceiling, others.bad(), others.told()) > others.against(ceiling);
        if are_better || bounds.against < bounds.halts_at {
            return Verdict::Halt { hardware: Some(hardware), counts: Box::new(counts) };
        }
    }
    if bounds.against >= bounds.halts_at {
        return Verdict::Halt { hardware: None, counts: Box::new(evidence.all) };
    }
    let waits = waits(gate, evidence, &bounds, now);
    if waits.is_empty() { Verdict::GoOn } else { Verdict::Wait(waits) }
}

fn waits(gate: &Gate, evidence: &Evidence, bounds: &Bounds, now: Timestamp) -> Vec<WaitFor> {
    let mut waits = Vec::new();
    let soaked = evidence.phase_since.map(|since| since.plus_seconds(gate.least_soak_seconds as i64));
    match soaked {
        Some(until) if now >= until => {}
        Some(until) => waits.push(WaitFor::Soak { until }),
        None => waits.push(WaitFor::Soak { until: now.plus_seconds(gate.least_soak_seconds as i64) }),
    }
    let (told, least) = (evidence.all.told(), u64::from(gate.least_sample));
    let open = evidence.all.open();
    if told < least {
        waits.push(WaitFor::Sample { told, least, open });
    }
    let (ceiling, enough) = (share(gate.ceiling_ppm), 1.0 / share(gate.beta_ppm));
    let bad = evidence.all.bad();
    if in_favour(ceiling, bad, told) < enough {
        let more = least_more(ceiling, share(gate.beta_ppm), bad, told);
        waits.push(WaitFor::Proof { bad, told, more, open });
        return waits;
    }
    let (late, of) = (evidence.all.late, ripe(&evidence.all));
    if 2 * late > of {
        waits.push(WaitFor::Late { late, of });
    }
    let fleet = Lost::of(gate, &evidence.all, evidence.others);
    if fleet.drowns || fleet.bad > 0 && in_favour(ceiling, fleet.with(&evidence.all), fleet.of) < enough {
        waits.push(fleet.wait(None, &evidence.all));
    }
    // Of a rare revision nothing can be proved, and in the fleet's counts it may be lost whole.
    for (hardware, counts) in evidence.strata.iter().filter(|_| evidence.strata.len() > 1) {
        let lost = Lost::of(gate, counts, evidence.others);
        if lost.bad > 0 && evidence::against(ceiling, lost.with(counts), lost.of) >= bounds.stratum_halts_at {
            waits.push(lost.wait(Some(hardware.clone()), counts));
        }
    }
    waits
}

/// Devices that were lost on the way, as far as that is not usual. They are set against those that had the time to be lost: who
/// began lately says nothing, else a rollout would outrun the silence that it leaves behind.
struct Lost {
    /// As many as would be silent anyhow, by those who were not offered the release, rounded up.
    usual: u64,
    /// Silent beyond that and beyond what chance brings about, or overdue.
    bad: u64,
    /// Of those that had the time to be lost, and would not be silent anyhow.
    of: u64,
    /// Half of the fleet is silent, as after an outage: what is lost can't be told from it.
    drowns: bool,
}

impl Lost {
    fn of(gate: &Gate, counts: &Counts, others: Watched) -> Self {
        let ripe = ripe(counts);
        let usual = if others.all == 0 { 0 } else { scaled(ripe, others.silent.min(others.all), others.all) };
        let of = ripe.saturating_sub(usual);
        // Twice the standard deviation of a Poisson count; where that could hide what the ceiling doesn't allow, more devices tell.
        let ceiling = (u128::from(of) * u128::from(gate.ceiling_ppm) / u128::from(WHOLE)) as u64;
        let chance = (4 * usual).isqrt().min(ceiling);
        let bad = counts.missing.saturating_sub(usual + chance) + counts.overdue;
        Self { usual, bad, of, drowns: counts.missing > 0 && 2 * usual > ripe }
    }

    /// Together with as many failures as were told of so many.
    fn with(&self, counts: &Counts) -> u64 {
        (self.bad + scaled(counts.bad(), self.of, counts.told().max(1))).min(self.of)
    }

    fn wait(&self, hardware: Option<HardwareName>, counts: &Counts) -> WaitFor {
        let Counts { missing, overdue, .. } = *counts;
        WaitFor::Missing { hardware, missing, usual: self.usual, overdue }
    }
}

/// Those that could be missing by now, and at least those that are; all, where nobody counted them.
fn ripe(counts: &Counts) -> u64 {
    let offered = counts.told() + counts.open();
    let lost = counts.missing + counts.late;
    if counts.ripe == 0 { counts.told() + lost } else { counts.ripe.clamp(lost.max(1), offered.max(1)) }
}

/// `value × part / whole`, rounded up.
fn scaled(value: u64, part: u64, whole: u64) -> u64 {
    (u128::from(value) * u128::from(part)).div_ceil(u128::from(whole.max(1))) as u64
}

fn share(ppm: u32) -> f64 {
    f64::from(ppm) / f64::from(WHOLE)
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Halt { hardware: None, counts } => write!(f, "halt: {counts}"),
            Self::Halt { hardware: Some(hardware), counts } => write!(f, "halt for {hardware}: {counts}"),
            Self::GoOn => write!(f, "go on"),
            Self::Wait(waits) => {
                write!(f, "wait for ")?;
                waits.iter().enumerate().try_for_each(|(i, wait)| {
                    if i > 0 {
                        write!(f, ", ")?;
                    }
                    write!(f, "{wait}")
                })
            }
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { confirmed, failed, rolled_back, missing, .. } = self;
        write!(f, "{confirmed} confirmed, {failed} failed, {rolled_back} rolled back, ")?;
        if self.unheard { write!(f, "missing unknown") } else { write!(f, "{missing} missing") }
    }
}

impl fmt::Display for WaitFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Soak { until } => write!(f, "the time that this phase is watched, until {until}"),
            Self::Sample { told, least, open } => {
                write!(f, "{least} devices that told how it went ({told} so far, {})", under_way(*open))
            }
            Self::Proof { bad, told, more, open } => {
                write!(
                    f,
                    "proof that failures are rarer than the ceiling ({bad} failed of {told} that told, {}; about {more} more without a failure are needed)",
                    under_way(*open)
                )
            }
            Self::Late { late, of } => {
                write!(
                    f,
                    "word of how it went from those that are heard of ({late} of {of} that began long ago haven't told)"
                )
            }
            Self::Missing { hardware, missing, usual, overdue } => {
                let of = hardware.as_ref().map_or(String::new(), |hardware| format!(" of {hardware}"));
                let late = "that are overdue to tell how it went";
                match (missing, overdue) {
                    (0, _) => return write!(f, "{overdue} devices{of} {late}"),
                    (1, _) => write!(f, "1 device{of}")?,
                    _ => write!(f, "{missing} devices{of}")?,
                }
                write!(f, " that began and fell silent (about {usual} would be usual)")?;
                if *overdue == 0 { Ok(()) } else { write!(f, " and {overdue} {late}") }
            }
        }
    }
}

/// Who may still tell: where they are fewer than what is needed, this phase can't give it.
fn under_way(open: u64) -> String {
    match open {
        0 => "no other has begun".into(),
        1 => "1 began and hasn't told yet".into(),
        _ => format!("{open} began and haven't told yet"),
    }
}

#[cfg(test)]
mod tests;
