//! Falco plugin `census`, for tests: counts the words that are its events, in a state table for all to see.

mod added;
mod listening;

use std::ffi::{CStr, CString};
use std::sync::Arc;

use falco_plugin::FailureReason;
use falco_plugin::base::Plugin;
use falco_plugin::event::PluginEvent;
use falco_plugin::event::events::Event;
use falco_plugin::extract::{ExtractFieldInfo, ExtractPlugin, ExtractRequest, field};
use falco_plugin::parse::{EventInput, ParseInput, ParsePlugin};
use falco_plugin::source::{EventBatch, SourcePlugin, SourcePluginInstance};
use falco_plugin::tables::{TablesInput, export};

/// What is known of a word.
#[derive(export::Entry)]
struct Word {
    count: export::Readonly<u64>,
    note: export::Public<CString>,
    letters: Box<export::Table<u64, Letter>>,
}

/// A letter of a word, by its place.
#[derive(export::Entry)]
struct Letter {
    letter: export::Public<CString>,
}

/// The plugin's state.
pub struct Census {
    words: Box<export::Table<CString, Word>>,
    /// What it is to do beside counting.
    task: String,
    adding: Arc<added::Adding>,
    thread: Option<std::thread::JoinHandle<()>>,
    routines: Vec<falco_plugin::listen::Routine>,
}

impl std::fmt::Debug for Census {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Census").finish_non_exhaustive()
    }
}

impl Plugin for Census {
    const NAME: &'static CStr = c"census";
    const PLUGIN_VERSION: &'static CStr = c"0.1.0";
    const DESCRIPTION: &'static CStr = c"counts words";
    const CONTACT: &'static CStr = c"the Shikra authors";
    type ConfigType = String;

    fn new(input: Option<&TablesInput<'_>>, task: String) -> anyhow::Result<Self> {
        let input = input.ok_or_else(|| anyhow::anyhow!("no tables"))?;
        Ok(Self {
            words: input.add_table(export::Table::new(c"words")?)?,
            task,
            adding: Arc::default(),
            thread: None,
            routines: Vec::new(),
        })
    }
}

impl Drop for Census {
    fn drop(&mut self) {
        log::info!("the state ends");
    }
}

/// Gives the words of the open params, one event each, and then ends.
#[derive(Debug)]
pub struct Words {
    words: Vec<String>,
    next: usize,
}

impl SourcePlugin for Census {
    type Instance = Words;
    type Event<'a> = Event<PluginEvent<&'a [u8]>>;

    const EVENT_SOURCE: &'static CStr = c"census";
    const PLUGIN_ID: u32 = 997;

    fn open(&mut self, params: Option<&str>) -> anyhow::Result<Words> {
        let words = params.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        Ok(Words { words, next: 0 })
    }

    fn event_to_string(
        &mut self,
        event: &EventInput<'_, Self::Event<'_>>,
    ) -> anyhow::Result<CString> {
        word_of(&event.event()?)
    }
}

impl SourcePluginInstance for Words {
    type Plugin = Census;

    fn next_batch(
        &mut self,
        census: &mut Census,
        batch: &mut EventBatch<'_>,
    ) -> anyhow::Result<()> {
        match self.words.get(self.next).map(String::as_str) {
            None => return Err(FailureReason::Eof.into()),
            // Until its thread has added all of its events.
            Some("wait") => {
                if census.adding.is_done() {
                    self.next += 1;
                }
                return Err(FailureReason::Timeout.into());
            }
            Some("fail") => anyhow::bail!("asked to fail"),
            Some(word) => batch.add(Self::plugin_event(word.as_bytes()))?,
        }
        self.next += 1;
        Ok(())
    }
}

/// The word that an event is.
fn word_of(event: &Event<PluginEvent<&[u8]>>) -> anyhow::Result<CString> {
    Ok(CString::new(event.params.event_data)?)
}

impl ParsePlugin for Census {
    type Event<'a> = Event<PluginEvent<&'a [u8]>>;

    fn parse_event(
        &mut self,
        event: &EventInput<'_, Self::Event<'_>>,
        _: &ParseInput<'_>,
    ) -> anyhow::Result<()> {
        let word = word_of(&event.event()?)?;
        if self.words.lookup(word.as_c_str()).is_none() {
            let mut entry = self.words.create_entry()?;
            for (place, letter) in (0u64..).zip(word.as_bytes()) {
                let mut of_letter = entry.letters.create_entry()?;
                *of_letter.letter = CString::new([*letter])?;
                entry.letters.insert(&place, of_letter);
            }
            self.words.insert(word.as_c_str(), entry);
        }
        let entry = self.words.lookup(word.as_c_str());
        let mut entry = entry.ok_or_else(|| anyhow::anyhow!("the word is gone"))?;
        *entry.count += 1;
        Ok(())
    }
}

impl ExtractPlugin for Census {
    type Event<'a> = Event<PluginEvent<&'a [u8]>>;
    type ExtractContext = ();

    const EXTRACT_FIELDS: &'static [ExtractFieldInfo<Self>] = &[
        field("census.count", &count).with_description("How often the word has come"),
        field("census.note", &note).with_description("What others have noted about the word"),
    ];
}

fn count(
    census: &mut Census,
    ExtractRequest { event, .. }: ExtractRequest<'_, '_, '_, '_, Census>,
) -> anyhow::Result<Option<u64>> {
    let word = word_of(&event.event()?)?;
    Ok(census.words.lookup(word.as_c_str()).map(|entry| *entry.count))
}

fn note(
    census: &mut Census,
    ExtractRequest { event, .. }: ExtractRequest<'_, '_, '_, '_, Census>,
) -> anyhow::Result<Option<CString>> {
    let word = word_of(&event.event()?)?;
    Ok(census.words.lookup(word.as_c_str()).map(|entry| (*entry.note).clone()))
}

/// The C functions of the plugin; a module of its own, since the SDK's macros use what is denied elsewhere.
mod exports {
    use falco_plugin::{
        async_event_plugin, capture_listen_plugin, extract_plugin, parse_plugin, plugin,
        source_plugin,
    };

    use crate::Census;

    plugin!(Census);
    source_plugin!(Census);
    extract_plugin!(Census);
    parse_plugin!(Census);
    async_event_plugin!(Census);
    capture_listen_plugin!(Census);
}
