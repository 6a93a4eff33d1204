//! `--list`: the fields that rules may name.

use std::fmt::Write as _;

use rules_engine::{ArgumentRule, EventSource, FieldClass, FieldDefinition};
use serde_json::{Value, json};

/// The column at which descriptions start, and the one at which they are wrapped.
const INDENT: usize = 30;
const WIDTH: usize = 120;

/// How a listing is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    Text {
        verbose: bool,
    },
    Markdown,
    Json,
    /// Only the names: one a line, or a JSON array.
    Names {
        json: bool,
    },
}

/// The fields of some sources; a class that serves several of them is listed once.
pub(crate) fn listing<'a>(
    sources: impl Iterator<Item = &'a EventSource>,
    format: Listing,
) -> String {
    let mut classes: Vec<ListedClass<'_>> = Vec::new();
    for source in sources {
        for class in &source.fields.classes {
            match classes.iter_mut().find(|listed| listed.class.name == class.name) {
                Some(listed) => listed.sources.push(&source.name),
                None => classes.push(ListedClass { class, sources: vec![&source.name] }),
            }
        }
    }
    match format {
        _ if classes.is_empty() => String::new(),
        Listing::Text { verbose } => classes.iter().map(|class| class.text(verbose)).collect(),
        Listing::Markdown => classes.iter().map(ListedClass::markdown).collect(),
        Listing::Json => {
            let classes: Vec<Value> = classes.iter().map(ListedClass::json).collect();
            pretty(&json!({ "fieldclasses": classes }))
        }
        Listing::Names { json } => {
            let names = classes.iter().flat_map(ListedClass::fields).map(|field| &*field.name);
            if json {
                pretty(&json!({ "fieldnames": names.collect::<Vec<_>>() }))
            } else {
                names.flat_map(|name| [name, "\n"]).collect()
            }
        }
    }
}

/// A class of fields and the sources whose events have them.
struct ListedClass<'a> {
    class: &'a FieldClass,
    sources: Vec<&'a str>,
}

impl<'a> ListedClass<'a> {
    fn fields(&self) -> impl Iterator<Item = &'a FieldDefinition> + use<'a> {
        self.class.fields.iter().filter(|field| !field.hidden)
    }

    fn text(&self, verbose: bool) -> String {
        let mut text = "-".repeat(31) + "\n";
        push_entry(&mut text, "Field Class:", &self.class.name);
        push_entry(&mut text, "Description:", &self.class.description);
        let sources: String = self.sources.iter().flat_map(|source| [*source, " "]).collect();
        writeln!(text, "{:INDENT$}{sources}\n", "Event Sources:").expect("writing to a string");
        for field in self.fields() {
            let mut description = String::new();
            if verbose {
                write!(description, "(Type: {}) ", field.kind).expect("writing to a string");
            }
            let tags = tags(field);
            if !tags.is_empty() {
                write!(description, "({}) ", tags.join(",")).expect("writing to a string");
            }
            push_entry(&mut text, &field.name, &(description + &field.description));
        }
        text + "\n"
    }

    fn markdown(&self) -> String {
        let mut text = format!(
            "## Field Class: {}\n\n{}\n\nEvent Sources: {}\n\nName | Type | Description\n:----|:-----|:-----------\n",
            self.class.name,
            self.class.description,
            self.sources.join(", ")
        );
        for field in self.fields() {
            let description = field.description.replace('|', "\\|").replace('\n', " ");
            writeln!(text, "`{}` | {} | {description}", field.name, field.kind)
                .expect("writing to a string");
        }
        text + "\n"
    }

    fn json(&self) -> Value {
        let fields: Vec<Value> = self
            .fields()
            .map(|field| {
                json!({
                    "name": field.name,
                    "type": field.kind.name(),
                    "desc": field.description,
                    "is_list": field.is_list,
                    "argument": field.argument.map(argument_json),
                })
            })
            .collect();
        json!({
            "name": self.class.name,
            "desc": self.class.description,
            "event_sources": self.sources,
            "fields": fields,
        })
    }
}

fn argument_json(argument: ArgumentRule) -> Value {
    let kinds = [(argument.index, "INDEX"), (argument.key, "KEY")];
    let kinds: Vec<_> =
        kinds.iter().filter(|(is_taken, _)| *is_taken).map(|(_, kind)| kind).collect();
    json!({ "required": argument.required, "type": kinds })
}

fn tags(field: &FieldDefinition) -> Vec<&'static str> {
    let mut tags = Vec::new();
    if let Some(argument) = field.argument {
        tags.push(if argument.required { "ARG_REQUIRED" } else { "ARG_ALLOWED" });
        tags.extend(argument.index.then_some("ARG_INDEX"));
        tags.extend(argument.key.then_some("ARG_KEY"));
    }
    tags.extend(field.is_list.then_some("EPF_IS_LIST"));
    tags
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// A label, then a text wrapped in the column beside it; a long label has a line of its own.
fn push_entry(out: &mut String, label: &str, text: &str) {
    let mut line = format!("{label:INDENT$}");
    if line.len() > INDENT {
        out.push_str(label);
        out.push('\n');
        line = " ".repeat(INDENT);
    }
    let mut is_first_word = true;
    for word in text.split_whitespace() {
        if !is_first_word && line.len() + 1 + word.len() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line = " ".repeat(INDENT);
            is_first_word = true;
        }
        if !is_first_word {
            line.push(' ');
        }
        line.push_str(word);
        is_first_word = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use rules_engine::{FieldCatalogue, FieldType, Provider};

    use super::*;

    fn source(name: &str) -> EventSource {
        let field = |name: &str, argument: Option<ArgumentRule>, hidden| FieldDefinition {
            name: name.to_owned(),
            kind: FieldType::String,
            is_list: argument.is_some(),
            argument,
            description: "what it | means".to_owned(),
            hidden,
            suggested: false,
        };
        let argument = ArgumentRule { required: true, index: false, key: true };
        let class = FieldClass {
            name: "x (plugin)".to_owned(),
            description: "An x".to_owned(),
            provider: Provider::Plugin(0),
            fields: vec![
                field("x.a", None, false),
                field("x.secret", None, true),
                field("x.with.a.name.that.is.long.enough", Some(argument), false),
            ],
        };
        let fields = FieldCatalogue { classes: vec![class], static_values: Vec::new() };
        EventSource { name: name.to_owned(), fields }
    }

    #[track_caller]
    fn check(format: Listing, expected: &str) {
        assert_eq!(listing([source("s"), source("t")].iter(), format), expected);
    }

    #[test]
    fn text_has_two_columns() {
        check(
            Listing::Text { verbose: true },
            "-------------------------------
Field Class:                  x (plugin)
Description:                  An x
Event Sources:                s t \n
x.a                           (Type: CHARBUF) what it | means
x.with.a.name.that.is.long.enough
                              (Type: CHARBUF) (ARG_REQUIRED,ARG_KEY,EPF_IS_LIST) what it | means

",
        );
    }

    #[test]
    fn markdown_has_a_table_for_each_class() {
        check(
            Listing::Markdown,
            "## Field Class: x (plugin)

An x

Event Sources: s, t

Name | Type | Description
:----|:-----|:-----------
`x.a` | CHARBUF | what it \\| means
`x.with.a.name.that.is.long.enough` | CHARBUF | what it \\| means

",
        );
    }

    #[test]
    fn names_leave_out_hidden_fields() {
        check(Listing::Names { json: false }, "x.a\nx.with.a.name.that.is.long.enough\n");
        check(
            Listing::Names { json: true },
            "{\n  \"fieldnames\": [\n    \"x.a\",\n    \"x.with.a.name.that.is.long.enough\"\n  ]\n}\n",
        );
    }

    #[test]
    fn json_has_arguments() {
        let text = listing([source("s")].iter(), Listing::Json);
        let listing: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            listing["fieldclasses"][0]["fields"][1],
            json!({
                "name": "x.with.a.name.that.is.long.enough",
                "type": "CHARBUF",
                "desc": "what it | means",
                "is_list": true,
                "argument": { "required": true, "type": ["KEY"] },
            })
        );
    }
}
