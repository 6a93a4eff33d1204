//! Falco plugin `observer`, for tests: reads and writes the state table of the plugin `census`.

#![expect(missing_docs, reason = "the macros of the SDK make items without docs")]

use std::ffi::{CStr, CString};
use std::ops::ControlFlow;
use std::sync::Arc;

use falco_plugin::base::Plugin;
use falco_plugin::event::PluginEvent;
use falco_plugin::event::events::Event;
use falco_plugin::extract::{ExtractFieldInfo, ExtractPlugin, ExtractRequest, field};
use falco_plugin::parse::{EventInput, ParseInput, ParsePlugin};
use falco_plugin::tables::TablesInput;
use falco_plugin::tables::import::{Entry, Field, RuntimeEntry, Table, TableMetadata};

type Letter = Entry<Arc<LetterMetadata>>;
type Letters = Table<u64, Letter>;

#[derive(TableMetadata)]
#[entry_type(Letter)]
struct LetterMetadata {
    letter: Field<CStr, Letter>,
}

type Word = Entry<Arc<WordMetadata>>;
type Words = Table<CString, Word>;

#[derive(TableMetadata)]
#[entry_type(Word)]
struct WordMetadata {
    count: Field<u64, Word>,
    note: Field<CStr, Word>,
    letters: Field<Letters, Word>,
    #[custom]
    seen: Field<u64, Word>,
}

/// The plugin's state.
pub struct Observer {
    words: Words,
    /// What `observer.list` gives.
    listed: String,
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observer").finish_non_exhaustive()
    }
}

impl Plugin for Observer {
    const NAME: &'static CStr = c"observer";
    const PLUGIN_VERSION: &'static CStr = c"0.1.0";
    const DESCRIPTION: &'static CStr = c"looks into the words of census";
    const CONTACT: &'static CStr = c"the Shikra authors";
    type ConfigType = String;

    /// The configuration is a mistake to make, or empty.
    fn new(input: Option<&TablesInput<'_>>, config: String) -> anyhow::Result<Self> {
        let input = input.ok_or_else(|| anyhow::anyhow!("no tables"))?;
        match config.as_str() {
            "wrong key" => {
                let _words: Table<u64, RuntimeEntry<()>> = input.get_table(c"words")?;
            }
            "wrong table" => {
                let _nothing: Words = input.get_table(c"nothing")?;
            }
            "wrong field" => {
                let words: Table<CString, RuntimeEntry<()>> = input.get_table(c"words")?;
                words.get_field::<CStr>(input, c"count")?;
            }
            "other type" => {
                let words: Table<CString, RuntimeEntry<()>> = input.get_table(c"words")?;
                words.add_field::<u64>(input, c"added")?;
                words.add_field::<u64>(input, c"added")?;
                words.add_field::<CStr>(input, c"added")?;
            }
            _ => {}
        }
        let words: Words = input.get_table(c"words")?;
        let mut listed = String::new();
        for table in input.list_tables() {
            listed += &format!("table of key type {}; ", table.key_type);
        }
        Ok(Self { words, listed })
    }
}

fn word_of(event: &Event<PluginEvent<&[u8]>>) -> anyhow::Result<CString> {
    Ok(CString::new(event.params.event_data)?)
}

impl ParsePlugin for Observer {
    type Event<'a> = Event<PluginEvent<&'a [u8]>>;

    fn parse_event(
        &mut self,
        event: &EventInput<'_, Self::Event<'_>>,
        input: &ParseInput<'_>,
    ) -> anyhow::Result<()> {
        let word = word_of(&event.event()?)?;
        let (reader, writer) = (&input.reader, &input.writer);
        match word.to_bytes() {
            b"clear" => return self.words.clear(writer),
            b"erase" => {
                self.words.erase(writer, &c"a".to_owned())?;
                let mut note = "erased".to_owned();
                if self.words.erase(writer, &c"a".to_owned()).is_err() {
                    note += " once";
                }
                return self.note(reader, writer, &word, &note);
            }
            b"insert" => {
                let entry = self.words.create_entry(writer)?;
                entry.set_note(writer, c"new")?;
                let entry = self.words.insert(reader, writer, &c"inserted".to_owned(), entry)?;
                let has_failed = entry.set_count(writer, &7).is_err();
                let note = if has_failed { "count is read-only" } else { "count was written" };
                drop(entry);
                return self.note(reader, writer, &word, note);
            }
            // An entry that is not released would keep its owner from using it.
            b"leak" => {
                std::mem::forget(self.words.get_entry(reader, &word)?);
                return Ok(());
            }
            _ => {}
        }
        let entry = self.words.get_entry(reader, &word)?;
        // Until it is written the SDK has no value to give.
        let seen = entry.get_seen(reader).unwrap_or(0);
        entry.set_seen(writer, &(seen + 1))?;
        Ok(())
    }
}

impl Observer {
    fn note(
        &self,
        reader: &falco_plugin::tables::LazyTableReader<'_>,
        writer: &falco_plugin::tables::LazyTableWriter<'_>,
        word: &CString,
        note: &str,
    ) -> anyhow::Result<()> {
        let entry = self.words.get_entry(reader, word)?;
        entry.set_note(writer, &CString::new(note)?)
    }
}

type Request<'a, 'b, 'c, 'd> = ExtractRequest<'a, 'b, 'c, 'd, Observer>;

impl ExtractPlugin for Observer {
    type Event<'a> = Event<PluginEvent<&'a [u8]>>;
    type ExtractContext = ();

    const EXTRACT_FIELDS: &'static [ExtractFieldInfo<Self>] = &[
        field("observer.count", &count).with_description("The word's count"),
        field("observer.seen", &seen).with_description("How often the word was seen here"),
        field("observer.letters", &letters).with_description("The word's letters"),
        field("observer.summary", &summary).with_description("The whole table"),
        field("observer.list", &list).with_description("All tables"),
    ];
}

fn count(
    observer: &mut Observer,
    ExtractRequest { event, table_reader: reader, .. }: Request<'_, '_, '_, '_>,
) -> anyhow::Result<u64> {
    let word = word_of(&event.event()?)?;
    observer.words.get_entry(reader, &word)?.get_count(reader)
}

fn seen(
    observer: &mut Observer,
    ExtractRequest { event, table_reader: reader, .. }: Request<'_, '_, '_, '_>,
) -> anyhow::Result<u64> {
    let word = word_of(&event.event()?)?;
    observer.words.get_entry(reader, &word)?.get_seen(reader)
}

fn letters(
    observer: &mut Observer,
    ExtractRequest { event, table_reader: reader, .. }: Request<'_, '_, '_, '_>,
) -> anyhow::Result<CString> {
    let word = word_of(&event.event()?)?;
    let entry = observer.words.get_entry(reader, &word)?;
    let letters = entry.get_letters(reader)?;
    let mut text = Vec::new();
    letters.iter_entries_mut(reader, |letter| {
        if let Ok(letter) = letter.get_letter(reader) {
            text.extend_from_slice(letter.to_bytes());
            text.push(b'.');
        }
        ControlFlow::Continue(())
    })?;
    text.extend_from_slice(letters.get_entry(reader, &0)?.get_letter(reader)?.to_bytes());
    Ok(CString::new(text)?)
}

/// Name, size, sum of all counts, and whether an iteration that is broken off says so.
fn summary(
    observer: &mut Observer,
    ExtractRequest { table_reader: reader, .. }: Request<'_, '_, '_, '_>,
) -> anyhow::Result<CString> {
    let words = &observer.words;
    let mut sum = 0;
    let whole = words.iter_entries_mut(reader, |word| {
        sum += word.get_count(reader).unwrap_or(1000);
        ControlFlow::Continue(())
    })?;
    let broken = words.iter_entries_mut(reader, |_| ControlFlow::Break(()))?;
    let (name, size) = (words.get_name(reader)?, words.get_size(reader)?);
    Ok(CString::new(format!("{name} {size} {sum} {whole:?} {broken:?}"))?)
}

fn list(observer: &mut Observer, _: Request<'_, '_, '_, '_>) -> anyhow::Result<CString> {
    Ok(CString::new(observer.listed.as_str())?)
}

/// The C functions of the plugin; a module of its own, since the SDK's macros use what is denied elsewhere.
mod exports {
    use falco_plugin::{extract_plugin, parse_plugin, plugin};

    use crate::Observer;

    plugin!(Observer);
    extract_plugin!(Observer);
    parse_plugin!(Observer);
}
