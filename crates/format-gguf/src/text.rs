//! The tokenizer's settings, gathered as they are. What they mean is decided by whoever tokenises; templates for other uses than chat are left out.

use credence_import::language::{SpecialIds, TextSource};

use crate::error::GgufError;
use crate::settings::{Settings, refused};

/// Everything under `tokenizer.`.
pub(crate) fn text_source(settings: &mut Settings<'_>) -> Result<TextSource, GgufError> {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let source = TextSource {
        model: settings.need_text("tokenizer.ggml.model")?.to_owned(),
        pre: owned(settings.text("tokenizer.ggml.pre")?),
        tokens: settings.texts("tokenizer.ggml.tokens")?,
        types: settings.integers("tokenizer.ggml.token_type")?,
        scores: settings.numbers("tokenizer.ggml.scores")?,
        merges: settings.texts("tokenizer.ggml.merges")?,
        special: special_ids(settings)?,
        add_begin: settings.flag("tokenizer.ggml.add_bos_token")?,
        add_end: settings.flag("tokenizer.ggml.add_eos_token")?,
        add_separator: settings.flag("tokenizer.ggml.add_sep_token")?,
        add_space_prefix: settings.flag("tokenizer.ggml.add_space_prefix")?,
        remove_extra_whitespace: settings.flag("tokenizer.ggml.remove_extra_whitespaces")?,
        chat_template: owned(settings.text("tokenizer.chat_template")?),
    };
    // The same tokenizer in another form; and names of further templates with their texts.
    settings.ignore("tokenizer.huggingface.json");
    for name in settings.texts("tokenizer.chat_templates")? {
        settings.ignore(&format!("tokenizer.chat_template.{name}"));
    }
    Ok(source)
}

fn special_ids(settings: &mut Settings<'_>) -> Result<SpecialIds, GgufError> {
    // Older files say `prefix`, `suffix` and `middle` for what is now `fim_pre`, `fim_suf` and `fim_mid`.
    Ok(SpecialIds {
        begin: id(settings, &["bos"])?,
        end: id(settings, &["eos"])?,
        end_of_turn: id(settings, &["eot"])?,
        end_of_message: id(settings, &["eom"])?,
        unknown: id(settings, &["unknown"])?,
        // The misspelling is the format's.
        separator: id(settings, &["seperator"])?,
        padding: id(settings, &["padding"])?,
        classify: id(settings, &["cls"])?,
        mask: id(settings, &["mask"])?,
        fill_prefix: id(settings, &["fim_pre", "prefix"])?,
        fill_suffix: id(settings, &["fim_suf", "suffix"])?,
        fill_middle: id(settings, &["fim_mid", "middle"])?,
        fill_padding: id(settings, &["fim_pad"])?,
        fill_repository: id(settings, &["fim_rep"])?,
        fill_separator: id(settings, &["fim_sep"])?,
    })
}

/// The first of these ids that the file has.
fn id(settings: &mut Settings<'_>, names: &[&str]) -> Result<Option<u32>, GgufError> {
    let mut first = None;
    for name in names {
        let key = format!("tokenizer.ggml.{name}_token_id");
        let Some(got) = settings.count(&key)? else {
            continue;
        };
        let id = u32::try_from(got).map_err(|_| refused(&key, "a token's id", got.to_string()))?;
        first = first.or(Some(id));
    }
    Ok(first)
}
