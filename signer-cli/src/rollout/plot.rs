//! A plan as a picture: the planned open share over time, and that of a simulated rollout of a good release. SVG that stands
//! alone, light and dark after the reader's setting; no script, nothing from elsewhere.

use std::fmt::Write as _;

use perennial_gate::simulate;
use perennial_schemas::Timestamp;
use perennial_schemas::rollout::{Plan, WHOLE};

use super::forecast::Question;
use crate::plain::grouped;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 56.0;
/// Points of a curve at most.
const POINTS: i64 = 400;

/// The colours have a contrast of 4.5 at least to what they stand on.
const STYLE: &str = "text{font:14px system-ui,sans-serif;fill:#1c2530}.t{font-size:20px;font-weight:600}.n{fill:#4a5868}\
.paper{fill:#fbfcfd}.grid{stroke:#dfe5ec;fill:none}.plan{stroke:#2d6cdf;stroke-width:2.5;fill:none}\
.run{stroke:#b3470b;stroke-width:2;stroke-dasharray:6 4;fill:none}.early{fill:#2d6cdf}\
@media(prefers-color-scheme:dark){text{fill:#e8edf3}.n{fill:#a9b6c5}.paper{fill:#12181f}.grid{stroke:#2a3440}\
.plan{stroke:#6fa0ff}.run{stroke:#ff9a5c}.early{fill:#6fa0ff}}";

/// The picture as one SVG document.
pub fn svg(plan: &Plan, question: &Question) -> String {
    let first = plan
        .phases
        .iter()
        .map(|phase| phase.not_before)
        .chain(plan.early.iter().map(|group| group.not_before))
        .min();
    let first = first.unwrap_or(Timestamp::EPOCH).unix();
    let run = simulated(plan, question);
    let last = plan.phases.last().map_or(first, |phase| phase.not_before.unix());
    let end = last.max(run.last().map_or(last, |point| point.0)) + 43_200;
    let frame = Frame { first, end: end.max(first + 86_400) };
    let mut svg = String::new();
    // Writing into a string can't fail.
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"The open share of the fleet over time\"><style>{STYLE}</style>\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\
         <text class=\"t\" x=\"{LEFT}\" y=\"30\">Who may install it when, of {} devices</text>",
        grouped(question.devices)
    );
    frame.axes(&mut svg);
    let step = ((frame.end - first) / POINTS).max(60);
    let mut times: Vec<i64> = (0..).map(|i| first + i * step).take_while(|time| *time <= frame.end).collect();
    // A step at once is a step in the picture.
    times.extend(plan.phases.iter().flat_map(|phase| [phase.not_before.unix() - 1, phase.not_before.unix()]));
    times.sort_unstable();
    let planned = times
        .iter()
        .filter(|time| **time >= first)
        .map(|time| (*time, plan.share_at(Timestamp::from_unix(*time))));
    frame.line(&mut svg, "plan", planned);
    frame.line(&mut svg, "run", run.into_iter());
    for group in &plan.early {
        let x = frame.x(group.not_before.unix());
        let labels: Vec<&str> = group.labels.iter().map(|label| label.as_str()).collect();
        let _ = write!(
            svg,
            "<circle class=\"early\" cx=\"{x:.1}\" cy=\"{:.1}\" r=\"5\"/><text class=\"n\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            frame.y(0),
            x + 9.0,
            frame.y(0) - 8.0,
            labels.join(", ")
        );
    }
    let _ = writeln!(
        svg,
        "<path class=\"plan\" d=\"M {LEFT} 48 h 28\"/><text class=\"n\" x=\"{}\" y=\"53\">planned</text>\
         <path class=\"run\" d=\"M {} 48 h 28\"/><text class=\"n\" x=\"{}\" y=\"53\">a simulated rollout of a good release</text></svg>",
        LEFT + 34.0,
        LEFT + 120.0,
        LEFT + 154.0
    );
    svg
}

fn simulated(plan: &Plan, question: &Question) -> Vec<(i64, u32)> {
    let mut points: Vec<(i64, u32)> = Vec::new();
    let mut random = fastrand::Rng::with_seed(question.seed);
    let fleet = question.fleet(question.healthy.0);
    let last = plan.phases.last().map_or(Timestamp::EPOCH, |phase| phase.not_before);
    simulate::traced(plan, &fleet, &mut random, &mut |now, share| {
        // What comes after everybody may have it, or long after the plan's end, is no news.
        let over = points.last().is_some_and(|(_, share)| *share == WHOLE) || now > last.plus_days(14);
        if !over {
            points.push((now.unix(), share));
        }
    });
    points
}

struct Frame {
    first: i64,
    end: i64,
}

impl Frame {
    fn x(&self, time: i64) -> f64 {
        LEFT + (time - self.first) as f64 / (self.end - self.first) as f64 * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, share: u32) -> f64 {
        HEIGHT - BOTTOM - f64::from(share) / f64::from(WHOLE) * (HEIGHT - TOP - BOTTOM)
    }

    fn axes(&self, svg: &mut String) {
        for percent in [0, 25, 50, 75, 100] {
            let y = self.y(percent * 10_000);
            let _ = write!(
                svg,
                "<path class=\"grid\" d=\"M {LEFT} {y:.1} H {:.1}\"/><text class=\"n\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{percent} %</text>",
                WIDTH - RIGHT,
                LEFT - 8.0,
                y + 5.0
            );
        }
        let days = (self.end - self.first).div_euclid(86_400).max(1);
        let every = (days + 7) / 8;
        for day in (0..=days).step_by(every.max(1) as usize) {
            let time = self.first + day * 86_400;
            let date = Timestamp::from_unix(time).date();
            let _ = write!(
                svg,
                "<text class=\"n\" text-anchor=\"middle\" x=\"{:.1}\" y=\"{:.1}\">{date}</text>",
                self.x(time).clamp(LEFT + 20.0, WIDTH - RIGHT - 36.0),
                HEIGHT - BOTTOM + 24.0
            );
        }
    }

    fn line(&self, svg: &mut String, class: &str, points: impl Iterator<Item = (i64, u32)>) {
        let _ = write!(svg, "<path class=\"{class}\" d=\"");
        for (i, (time, share)) in points.enumerate() {
            let _ =
                write!(svg, "{} {:.1} {:.1} ", if i == 0 { 'M' } else { 'L' }, self.x(time), self.y(share));
        }
        let _ = write!(svg, "\"/>");
    }
}
