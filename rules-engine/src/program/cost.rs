//! What evaluating each rule costs.

use std::time::Duration;

use crate::program::RuleId;

/// What evaluating a rule has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleCost {
    /// Events for which its condition was looked at: the index leaves out most that cannot match.
    pub evaluations: u64,
    /// Events that matched.
    pub matches: u64,
    /// The time that it took on the events that were evaluated with a clock. What several rules need, such as a field
    /// that all of them compare, is paid by the first one that an event meets.
    pub time: Duration,
}

/// The costs of the rules of one program since they were last taken.
#[derive(Debug, Default)]
pub(super) struct Costs {
    /// By [`RuleId`]. Small, since every evaluation of a rule touches its entry.
    counts: Vec<Count>,
    /// By [`RuleId`].
    times: Vec<Duration>,
    /// The rules whose counts are not zero.
    touched: Vec<RuleId>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    evaluations: u32,
    matches: u32,
}

impl Costs {
    /// Makes room for so many rules.
    pub(super) fn reserve(&mut self, rules: usize) {
        self.counts.resize(rules.max(self.counts.len()), Count::default());
        self.times.resize(rules.max(self.times.len()), Duration::ZERO);
    }

    pub(super) fn count(&mut self, rule: RuleId, matches: bool) {
        let count = &mut self.counts[rule.0 as usize];
        if count.evaluations == 0 {
            self.touched.push(rule);
        }
        count.evaluations = count.evaluations.saturating_add(1);
        count.matches = count.matches.saturating_add(matches.into());
    }

    pub(super) fn add_time(&mut self, rule: RuleId, time: Duration) {
        self.times[rule.0 as usize] += time;
    }

    /// Hands over what was counted, by the rule's position in the program, and begins anew.
    pub(super) fn take(&mut self, mut give: impl FnMut(usize, RuleCost)) {
        for rule in self.touched.drain(..) {
            let index = rule.0 as usize;
            let Count { evaluations, matches } = std::mem::take(&mut self.counts[index]);
            let time = std::mem::take(&mut self.times[index]);
            give(
                index,
                RuleCost { evaluations: evaluations.into(), matches: matches.into(), time },
            );
        }
    }
}
