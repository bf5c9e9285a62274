//! A plan in plain words, as it lies before whoever signs it: who gets the release when, what stops it, and what a server can
//! do to it.

use perennial_schemas::ident::HardwareName;
use perennial_schemas::rollout::{OnDeadline, Plan};
use perennial_schemas::{Digest, Timestamp};

use super::file::{Share, Span};
use super::forecast::openings;

/// When the first device may have it.
pub fn begins(plan: &Plan) -> Option<Timestamp> {
    openings(plan).first().map(|opening| opening.at)
}

/// A line for each thing that a plan says.
pub fn lines(plan: &Plan, digest: &impl Digest) -> Vec<String> {
    let mut lines = vec!["Rolled out in stages, if nothing stops it:".to_owned()];
    lines.extend(openings(plan).into_iter().map(|opening| format!("  {}  {}", opening.at, opening.what)));
    if let Some(hardware) = &plan.hardware {
        let names: Vec<&str> = hardware.iter().map(HardwareName::as_str).collect();
        lines.push(format!("  only for {}: no other hardware ever gets it", names.join(", ")));
    }
    let gate = &plan.gate;
    let ceiling = Share(gate.ceiling_ppm);
    lines.push(format!("It is halted once failures are shown to be more frequent than {ceiling}."));
    let mut proof = format!("A phase follows the one before once they are shown to be rarer than {ceiling}");
    if gate.least_sample > 0 {
        proof += &format!(", by {} reports or more", gate.least_sample);
    }
    if gate.least_soak_seconds > 0 {
        proof += &format!(", {} later or more", Span(gate.least_soak_seconds));
    }
    lines.push(proof + ".");
    let longest = Span(plan.max_hold_seconds);
    lines.push(match plan.on_deadline {
        OnDeadline::Consent => format!(
            "A server can hold a device back for {longest}; then it goes on if the product was signed again since \
             (release affirm), and else not."
        ),
        OnDeadline::Silence => {
            format!("A server can hold a device back for {longest}; then it goes on BY ITSELF, even where it was halted.")
        }
    });
    lines.push(format!("Devices that were held come back within {}.", Span(plan.catch_up_seconds)));
    let key = plan.key.id(digest).map_or("?".into(), |id| id.to_string());
    lines.push(format!(
        "Its status is signed by the rollout key {key} and lasts {} at most.",
        Span(plan.status_max_age_seconds)
    ));
    lines
}
