//! What a GGUF file leaves to its reader: which tokens end a generation, and types that it gets wrong.
//!
//! llama.cpp decides both by the texts of the tokens (`llama_vocab::impl::load`). An importer calls this once; the result is written out in the
//! specification, so that nothing is left to be decided by whoever uses the model.
//!
//! Left out: fill-in-the-middle roles other than as far as they end a generation, and rules by the name of a model (phi-3's stripping of
//! white space).

use std::collections::{BTreeSet, HashMap};

use crate::spec::TextSpec;

const CONTROL: u8 = 3;
const USER_DEFINED: u8 = 4;
const NORMAL: u8 = 1;

/// End a turn; the first that the vocabulary has is its `eot`, when the file names none.
const TURN_ENDS: [&str; 12] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "<｜end▁of▁sentence｜>",
    "<end_of_utterance>",
    "<|eom_id|>",
];
/// End a generation though they are not at the end of a turn.
const OTHER_ENDS: [&str; 11] = [
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "</s>",
    "[EOS]",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "[e~[",
    "<|eom_id|>",
];
/// Fill-in-the-middle tokens that end a generation: one of each list, the first that there is.
const FILL_ENDS: [&[&str]; 3] = [
    &["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"],
    &[
        "<|fim_repo|>",
        "<|repo_name|>",
        "<fim-repo>",
        "<REPO>",
        "<reponame>",
    ],
    &["<|file_sep|>"],
];
/// Always shown, whatever the file says.
const SHOWN: [&str; 4] = ["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"];

impl TextSpec {
    /// Fills in what a GGUF file leaves open: replaces [`TextSpec::ends`], sets `special.eot` where it is missing, gives tokens that end
    /// something the type control, and names tokens that have no text.
    ///
    /// To be called by an importer, on what the file says; the result does not depend on who uses it later.
    pub fn complete(&mut self) {
        for (id, text) in self.tokens.iter_mut().enumerate() {
            if text.is_empty() {
                *text = format!("[EMPTY_{id}]");
            }
        }
        let ids: HashMap<String, u32> = self.tokens.iter().cloned().zip(0..).collect();
        let id = |text: &str| ids.get(text).copied();
        let mut ends = BTreeSet::new();
        let mut control = BTreeSet::new();
        // `<|eom_id|>` ends a turn but is no `eot`.
        let eot = TURN_ENDS.iter().filter(|text| **text != "<|eom_id|>");
        if self.special.eot.is_none() {
            self.special.eot = eot.copied().find_map(id);
        }
        ends.extend(
            FILL_ENDS
                .iter()
                .filter_map(|list| list.iter().copied().find_map(id)),
        );
        ends.extend(TURN_ENDS.iter().chain(&OTHER_ENDS).copied().filter_map(id));
        control.extend(ends.iter().copied());
        ends.extend(self.special.eos);
        ends.extend(self.special.eot);
        let mut retype = |id: u32, to: u8| {
            if let Some(kind) = usize::try_from(id)
                .ok()
                .and_then(|at| self.types.get_mut(at))
            {
                *kind = to;
            }
        };
        for id in control {
            retype(id, CONTROL);
        }
        for id in SHOWN.into_iter().filter_map(id) {
            retype(id, USER_DEFINED);
        }
        let has = |text: &str| id(text).is_some_and(|id| ends.contains(&id));
        let call = has("<|call|>") || has("<|calls|>");
        let channels = call && (has("<|return|>") || has("<|flush|>"));
        let plain_s = has("<|tool_response>") || has("<|plamo:eos|>");
        if let Some(end) = id("<|end|>").filter(|_| channels) {
            ends.remove(&end);
            retype(end, USER_DEFINED);
        }
        if let Some(end) = id("</s>").filter(|_| plain_s) {
            ends.remove(&end);
            retype(end, NORMAL);
        }
        self.ends = ends.into_iter().collect();
    }
}
