//! How far long work is: told to whoever shows it, who may end it.
//!
//! Decides how often. Whoever works begins a stage, says from any thread how much of it is done, and ends it; whatever is
//! said, what is told never goes back.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is being done. Some of it is done again: for each window of a large image, or in several ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// An image is read, and hashed.
    Reading,
    /// Blocks that are the same in both images are looked for.
    Comparing,
    /// What is packed in them is looked for, and unpacked.
    Unpacking,
    /// It is found out how parts of the new image are packed, by packing them again.
    Packing,
    /// Files and their code are looked for.
    Describing,
    /// References are masked out.
    Masking,
    /// What is searched is sorted: until half of that is done, nothing can be told of it.
    Sorting,
    /// What is the same, but for single bytes, is looked for.
    Matching,
    /// The cheapest of that is chosen.
    Choosing,
    /// The delta is coded.
    Encoding,
    /// The delta is applied, to see what comes out.
    Proving,
    /// The delta is applied.
    Applying,
    /// A slot is rewritten in place.
    Rewriting,
    /// It is looked where the delta's bytes went.
    Inspecting,
}

impl Stage {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Comparing => "comparing",
            Self::Unpacking => "unpacking",
            Self::Packing => "packing again",
            Self::Describing => "describing",
            Self::Masking => "masking",
            Self::Sorting => "sorting",
            Self::Matching => "matching",
            Self::Choosing => "choosing",
            Self::Encoding => "encoding",
            Self::Proving => "proving",
            Self::Applying => "applying",
            Self::Rewriting => "rewriting",
            Self::Inspecting => "inspecting",
        }
    }
}

/// So many of so many bytes are done: first none, in the end all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// What is being done.
    pub stage: Stage,
    /// Bytes that are done.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Hears how far it is; says whether to go on.
pub type Hear<'p> = &'p mut (dyn FnMut(Told) -> bool + Send);

/// Bytes after which whoever counts by itself says that they are done.
pub const STRIDE: usize = 1 << 20;
/// A stage is told in so many steps at least, and in steps of at most a stride.
const STEPS: u64 = 256;

/// How far it is. By default nobody hears of it.
#[derive(Default)]
pub struct Progress<'p> {
    telling: Option<Mutex<Telling<'p>>>,
    stopped: AtomicBool,
}

struct Telling<'p> {
    hear: Hear<'p>,
    now: Told,
    /// Bytes of this stage that were told last.
    told: u64,
}

/// Whoever hears of it said no.
#[derive(Debug, thiserror::Error)]
#[error("stopped")]
pub struct Stopped;

impl From<Stopped> for io::Error {
    fn from(_: Stopped) -> Self {
        io::ErrorKind::Interrupted.into()
    }
}

impl<'p> Progress<'p> {
    /// Told to `hear`. What is made ends soon after it says no; what is applied or looked into goes on.
    pub fn new(hear: Hear<'p>) -> Self {
        let now = Told { stage: Stage::Reading, done: 0, total: 0 };
        Self { telling: Some(Mutex::new(Telling { hear, now, told: 0 })), stopped: AtomicBool::new(false) }
    }

    /// A stage of so many bytes begins.
    pub(crate) fn begin(&self, stage: Stage, total: u64) {
        self.tell(|telling| {
            telling.now = Told { stage, done: 0, total };
            true
        });
    }

    /// So many of its bytes are done.
    pub(crate) fn at(&self, done: u64) {
        self.tell(|telling| telling.reach(done));
    }

    /// So many more are.
    pub(crate) fn more(&self, bytes: u64) {
        self.tell(|telling| telling.reach(telling.now.done.saturating_add(bytes)));
    }

    /// All are.
    pub(crate) fn end(&self) {
        self.at(u64::MAX);
    }

    /// Whether to go on.
    pub(crate) fn go_on(&self) -> Result<(), Stopped> {
        if self.stopped.load(Ordering::Relaxed) { Err(Stopped) } else { Ok(()) }
    }

    fn tell(&self, change: impl FnOnce(&mut Telling<'p>) -> bool) {
        let Some(mut telling) = self.telling.as_ref().and_then(|telling| telling.lock().ok()) else { return };
        if change(&mut telling) {
            let now = telling.now;
            telling.told = now.done;
            if !(telling.hear)(now) {
                self.stopped.store(true, Ordering::Relaxed);
            }
        }
    }
}

impl Telling<'_> {
    /// Whether that is to be told.
    fn reach(&mut self, done: u64) -> bool {
        let Told { done: before, total, .. } = self.now;
        self.now.done = done.clamp(before, total);
        let step = (total / STEPS).clamp(1, STRIDE as u64);
        let next = total.min(self.told + step);
        self.now.done >= next && self.now.done > self.told
    }
}

#[cfg(test)]
pub(in crate::delta) mod tests {
    use super::*;

    /// What `work` told, checked: each stage begins with nothing, never goes back, and is done before the next begins.
    pub(in crate::delta) fn told(work: impl FnOnce(&Progress<'_>)) -> Vec<Told> {
        let mut all: Vec<Told> = Vec::new();
        let mut hear = |told| {
            all.push(told);
            true
        };
        work(&Progress::new(&mut hear));
        let mut last: Option<Told> = None;
        for told in &all {
            assert!(told.done <= told.total, "{told:?}");
            match last {
                Some(last) if told.done > 0 => {
                    assert_eq!((last.stage, last.total), (told.stage, told.total), "{last:?}, {told:?}");
                    assert!(last.done < told.done, "{last:?}, {told:?}");
                }
                last => {
                    assert_eq!(told.done, 0, "{told:?}");
                    assert!(
                        last.is_none_or(|last| last.done == last.total),
                        "{last:?} is never done: {told:?}"
                    );
                }
            }
            last = Some(*told);
        }
        assert!(last.is_none_or(|last| last.done == last.total), "{last:?} is never done");
        all
    }

    /// The stages in their order, each once where it was done several times on end.
    pub(in crate::delta) fn stages(told: &[Told]) -> Vec<Stage> {
        let mut stages: Vec<Stage> = told.iter().map(|told| told.stage).collect();
        stages.dedup();
        stages
    }

    #[test]
    fn little_is_told_and_nothing_twice() {
        let all = told(|progress| {
            progress.begin(Stage::Reading, 100 << 20);
            (0..100 << 10).for_each(|_| progress.more(1 << 10));
            progress.end();
            progress.begin(Stage::Comparing, 1000);
            [0, 1, 2, 900, 800].into_iter().for_each(|done| progress.at(done));
            progress.end();
            progress.begin(Stage::Matching, 0);
            progress.end();
        });
        let of =
            |stage| all.iter().filter(|told| told.stage == stage).map(|told| told.done).collect::<Vec<_>>();
        assert_eq!(of(Stage::Reading).len(), 257);
        assert_eq!(of(Stage::Comparing), [0, 900, 1000]);
        assert_eq!(of(Stage::Matching), [0]);
    }

    #[test]
    fn who_says_no_ends_it() {
        let mut hear = |told: Told| told.done < 500;
        let progress = Progress::new(&mut hear);
        progress.begin(Stage::Reading, 1000);
        progress.at(400);
        assert!(progress.go_on().is_ok());
        progress.at(600);
        assert!(progress.go_on().is_err());
        assert!(Progress::default().go_on().is_ok());
    }
}
