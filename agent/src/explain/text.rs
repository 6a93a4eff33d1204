//! An explanation for people.

use rules_engine::{Part, PartKind, RuleMatching, Verdict};

use super::Explanation;
use super::reason::{decided_by, needed, values_text};
use crate::paint::{Paint, printable};

impl Explanation<'_> {
    pub(super) fn text(&self) -> String {
        let paint = Paint::for_stdout();
        let place = &self.rule.place;
        let verdict =
            if self.matches { paint.good("matches") } else { paint.bad("does not match") };
        let name = &self.rule.rule.name;
        let mut text = format!("{name}: {verdict} ({}:{})\n\n", place.file, place.line);
        write_part(&self.rule.condition, self.verdicts, 0, paint, &mut text);
        let path = decided_by(&self.rule.condition, self.verdicts);
        if !path.is_empty() {
            text += &format!("\nDecided by: {}\n", printable(&path.join(" -> ")));
        }
        let other = if self.matches { "It would not match with" } else { "It would match with" };
        text += &format!("\n{other}:\n");
        for line in
            needed(&self.rule.condition, !self.matches, self.verdicts).lines(self.verdicts, 1)
        {
            text += &format!("{}\n", printable(&line));
        }
        if self.matches {
            self.write_earlier(&mut text);
        }
        text
    }

    fn write_earlier(&self, text: &mut String) {
        let matching = self.earlier.iter().find(|(_, matches)| *matches);
        *text += "\n";
        match (matching, self.matching) {
            (Some((first, _)), RuleMatching::First) => {
                let place = &first.place;
                let name = &first.rule.name;
                *text += &format!(
                    "It raises no alert: with `rule_matching: first` that is left to the earlier rule {name} ({}:{}).\n",
                    place.file, place.line
                );
                return;
            }
            _ if self.earlier.is_empty() => {
                *text += "It is the first rule of this source.\n";
                return;
            }
            _ => *text += "Why no earlier rule:\n",
        }
        for (rule, matches) in &self.earlier {
            let reason = match decided_by(&rule.condition, self.verdicts) {
                _ if *matches => "matches too".to_owned(),
                path if path.is_empty() => "several parts do not hold".to_owned(),
                path => path.join(" -> "),
            };
            *text += &format!("  {}: {}\n", rule.rule.name, printable(&reason));
        }
    }
}

fn write_part(part: &Part, verdicts: &[Verdict], depth: usize, paint: Paint, text: &mut String) {
    let mark = if part.holds(verdicts) { paint.good("+") } else { paint.bad("-") };
    let indent = "  ".repeat(depth);
    match &part.kind {
        PartKind::And(_) => *text += &format!("{indent}{mark} all of\n"),
        PartKind::Or(_) => *text += &format!("{indent}{mark} one of\n"),
        PartKind::Not(_) => *text += &format!("{indent}{mark} not\n"),
        PartKind::Macro(name, _) => *text += &format!("{indent}{mark} macro {name}\n"),
        PartKind::Exception(name, _) => *text += &format!("{indent}{mark} exception {name}\n"),
        PartKind::Comparison(number, comparison) => {
            let values = values_text(comparison, &verdicts[*number]);
            let values = paint.faint(&printable(&values));
            *text += &format!("{indent}{mark} {}   {values}\n", printable(comparison));
        }
    }
    for child in part.children() {
        write_part(child, verdicts, depth + 1, paint, text);
    }
}
