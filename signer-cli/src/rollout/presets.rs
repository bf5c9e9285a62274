//! Plans to begin with, as files that their maker reads and changes.

use perennial_schemas::Timestamp;

/// A plan to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Preset {
    /// 1 %, then 5 %, then evenly to all within a week.
    CanaryWeek,
    /// Evenly to all within thirty days.
    #[value(name = "linear-30d")]
    Linear30d,
    /// To all within a day, for a hole that is being used: time alone ends a hold.
    Urgent,
    /// To all at once, with nothing learnt on the way.
    AllAtOnce,
}

impl Preset {
    /// The file's text. `key` stands in it as it is given.
    pub fn text(self, start: Timestamp, key: &str) -> String {
        let (about, phases, gate, hold) = match self {
            Self::CanaryWeek => (
                "1 % at once, 5 % after a day, all by the end of the week.",
                &[
                    ("1 %", "0d", ONCE),
                    ("5 %", "1d", LINEAR),
                    ("25 %", "2d", LINEAR),
                    ("100 %", "4d", LINEAR),
                    ("100 %", "7d", ONCE),
                ][..],
                ("100", "12h"),
                ("14d", "consent", "2d", "1d"),
            ),
            Self::Linear30d => (
                "Evenly to all within thirty days.",
                &[
                    ("5 %", "0d", LINEAR),
                    ("30 %", "5d", LINEAR),
                    ("100 %", "12d", LINEAR),
                    ("100 %", "30d", ONCE),
                ][..],
                ("200", "2d"),
                ("30d", "consent", "5d", "1d"),
            ),
            Self::Urgent => (
                "To all within a day. Time alone ends a hold: for a hole that is being used, and worse than a failure.",
                &[
                    ("5 %", "0h", ONCE),
                    ("30 %", "2h", LINEAR),
                    ("100 %", "6h", LINEAR),
                    ("100 %", "24h", ONCE),
                ][..],
                ("100", "1h"),
                ("2d", "silence", "6h", "2h"),
            ),
            Self::AllAtOnce => (
                "To all at once: nothing is learnt on the way, and a halt comes too late for most.",
                &[("100 %", "0d", ONCE)][..],
                ("100", "1h"),
                ("14d", "consent", "1d", "1d"),
            ),
        };
        let mut text = format!(
            "# {about}\nstart = \"{start}\"\n# The public half of the server's rollout key.\nkey = {key:?}\n"
        );
        for (share, begins, spread) in phases {
            text +=
                &format!("\n[[phase]]\nshare = \"{share}\"\nbegins = \"{begins}\"\nspread = \"{spread}\"\n");
        }
        let ((sample, soak), (longest, deadline, catch_up, age)) = (gate, hold);
        text + &format!(
            "\n# Devices that bear one of these labels come earlier than their turn:\n\
             # [[early]]\n# labels = [\"beta\"]\n# begins = \"0h\"\n\
             \n[gate]\n# More failures than this, and it halts.\nceiling = \"2 %\"\n\
             # The chance that a release at the ceiling is halted.\nalpha = \"5 %\"\n\
             # The chance that a release above the ceiling is let on.\nbeta = \"5 %\"\n\
             least_sample = {sample}\nleast_soak = \"{soak}\"\n\
             \n[hold]\n# How long past its time a device may be kept waiting.\nlongest = \"{longest}\"\n\
             # What ends that: consent (the signers sign again) or silence (time alone).\non_deadline = \"{deadline}\"\n\
             # Those who were kept waiting come back over this time.\ncatch_up = \"{catch_up}\"\n\
             # How old the server's word may be.\nstatus_max_age = \"{age}\"\n"
        )
    }
}

const ONCE: &str = "at-once";
const LINEAR: &str = "linear";
