//! Tests that hold however often one looks: mixtures of likelihood ratios against a ceiling, one for each direction.
//!
//! For failures `k` of `n` and a rate `p`, the ratio `(p/c)^k ((1-p)/(1-c))^(n-k)` has an expectation of 1 at the ceiling `c`.
//! Under the hypothesis it is a supermartingale where `p` lies on the other side of `c`, so by Ville's inequality the chance
//! that it *ever* passes `1/α` is at most `α`. A mixture over several `p` keeps that, and is quick at many rates.
//!
//! The mixture is **one-sided**: one over all rates also "rejects" a release that is healthier than its ceiling. Reading: Lindon
//! et al., arXiv 2205.14762; Zhao et al., "Safely and Quickly Deploying New Features with a Staged Rollout Framework Using
//! Sequential Test and Adaptive Experimental Design".

/// Odds of the rates above the ceiling, as multiples of its own odds: at a ceiling of 2 % they are 3, 4, 6, 9, 14, 22, 35 and
/// 60 %. As odds, they stay between the ceiling and 1 whatever the ceiling is.
const WORSE: [f64; 8] = [1.515_46, 2.041_67, 3.127_66, 4.846_15, 7.976_74, 13.820_51, 26.384_62, 73.5];
/// Odds of the rates below the ceiling: at 2 % they are about 0.04, 0.5 and 1 %. Few, as each costs reports: a release without
/// any failure is quick by the first, one with few by the second.
const BETTER: [f64; 3] = [0.02, 0.25, 0.5];
/// More than any bound (`2 × revisions / alpha`, alpha at least one in a million): of some ten thousand healthy devices the mixture
/// is more than a number of 64 bits can say.
const MOST: f64 = 1e12;

/// How much the counts speak for a rate above `ceiling`: a halt is due once this passes `1/alpha`. At most `alpha` of releases
/// whose rate is at the ceiling or below ever come there. `ceiling` lies between 0 and 1, both excluded.
pub fn against(ceiling: f64, failed: u64, told: u64) -> f64 {
    mixture(&WORSE, ceiling, failed, told)
}

/// How much the counts speak for a rate below `ceiling`: a release is good enough once this passes `1/beta`. At most `beta` of
/// releases whose rate is at the ceiling or above ever come there.
pub fn in_favour(ceiling: f64, failed: u64, told: u64) -> f64 {
    mixture(&BETTER, ceiling, failed, told)
}

/// How many devices in a row must be well before [`in_favour`] passes `1/beta`.
pub fn least_without_failure(ceiling: f64, beta: f64) -> u64 {
    least_more(ceiling, beta, 0, 0)
}

/// How many devices more must be well in a row before [`in_favour`] passes `1/beta`, where `failed` of `told` failed; 0 where it
/// has.
pub fn least_more(ceiling: f64, beta: f64, failed: u64, told: u64) -> u64 {
    // It rises with each device: doubled until it is enough, then halved to the least.
    let enough = |more: u64| in_favour(ceiling, failed, told.saturating_add(more)) >= 1.0 / beta;
    if enough(0) {
        return 0;
    }
    let mut high = 1;
    while !enough(high) {
        high *= 2;
    }
    let mut low = high / 2;
    while low + 1 < high {
        let middle = low.midpoint(high);
        if enough(middle) { high = middle } else { low = middle }
    }
    high
}

fn mixture(multiples: &[f64], ceiling: f64, failed: u64, told: u64) -> f64 {
    let failed = failed.min(told);
    let (bad, good) = (failed as f64, (told - failed) as f64);
    let odds = ceiling / (1.0 - ceiling);
    let ratios = multiples.iter().map(|multiple| {
        let rate = odds * multiple / (1.0 + odds * multiple);
        (bad * (rate / ceiling).ln() + good * ((1.0 - rate) / (1.0 - ceiling)).ln()).exp()
    });
    (ratios.sum::<f64>() / multiples.len() as f64).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_told_says_nothing_and_each_failure_says_more() {
        assert!((against(0.02, 0, 0) - 1.0).abs() < 1e-12);
        assert!((in_favour(0.02, 0, 0) - 1.0).abs() < 1e-12);
        for failed in 0..20 {
            assert!(against(0.02, failed + 1, 100) > against(0.02, failed, 100));
            assert!(in_favour(0.02, failed + 1, 100) < in_favour(0.02, failed, 100));
        }
    }

    #[test]
    fn however_many_tell_the_evidence_stays_a_number() {
        let most = [in_favour(0.02, 5_000, 1_000_000), against(0.02, 1_000_000, 1_000_000)];
        assert_eq!(most, [MOST, MOST]);
        assert!(
            against(0.02, 0, 1_000_000_000).is_finite()
                && in_favour(0.02, 1_000_000_000, 1_000_000_000) < 1.0
        );
    }

    /// The fixed-sample bounds are 59, 149, 299 and 598 devices (`ln 0.05 / ln(1 - c)`); to hold however often one looks
    /// costs a quarter more.
    #[test]
    fn a_clean_canary_proves_what_it_can() {
        let least = [0.05, 0.02, 0.01, 0.005].map(|ceiling| least_without_failure(ceiling, 0.05));
        assert_eq!(least, [73, 184, 369, 739]);
    }

    /// Ville's inequality at the ceiling itself: among simulated releases no more than alpha are ever halted.
    #[test]
    fn a_release_at_the_ceiling_is_seldom_halted_however_often_one_looks() {
        let mut random = fastrand::Rng::with_seed(344);
        let halted = (0..2000)
            .filter(|_| {
                let mut failed = 0;
                (1..=3000_u64).any(|told| {
                    failed += u64::from(random.f64() < 0.02);
                    against(0.02, failed, told) >= 20.0
                })
            })
            .count();
        assert!(halted <= 100, "{halted} of 2000");
    }
}
