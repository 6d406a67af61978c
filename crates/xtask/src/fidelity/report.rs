//! The page: figures by kind of text, and chats side by side.

use std::fmt::{Result, Write as _};

use super::chat::Chat;
use super::compare::Sums;
use super::run::ByKind;
use super::{About, CONTEXTS};

const WORDS: &str = "\
Three distributions over the next token are compared at every position: the float model's (weights as the file has them, made f32; activations f32; Credence's own reference), the exact integer
model's, and llama.cpp's on the same file (its defaults: activations rounded to 8 bits by blocks of 32, f16 cache). Perplexity is `exp` of the mean of -ln p(next token). `KL(p‖q)` is the mean of
`Σ p ln(p/q)` in nats; `same` is the share of positions at which both have the same likeliest token. Closer to the float model is better; lower perplexity
than its is chance.
";

const CHATS: &str = "\
The same tokens in, by the model's template, then always the likeliest token, at most 96. The five questions were chosen before any answer was seen; answers are as they came. Where two
answers part, two tokens were nearly as likely as one another, and what follows differs; how good an answer is says more of the model than of the arithmetic.
";

/// Writes the page.
pub(super) fn page(about: &About, tables: &[ByKind], chats: &[Chat]) -> String {
    let mut page = String::new();
    match write(&mut page, about, tables, chats) {
        Ok(()) => page,
        // Writing to a string does not fail.
        Err(error) => error.to_string(),
    }
}

fn write(page: &mut String, about: &About, tables: &[ByKind], chats: &[Chat]) -> Result {
    writeln!(page, "# Fidelity\n")?;
    writeln!(
        page,
        "Made by `cargo xtask fidelity` from `{}`, imported as `{}`, on the texts of `bench/texts` (its README names their sources).\n",
        about.file, about.model_id
    )?;
    writeln!(page, "{WORDS}")?;
    for (context, table) in CONTEXTS.iter().zip(tables) {
        kinds(page, *context, table)?;
    }
    writeln!(page, "## Chats\n\n{CHATS}")?;
    for chat in chats {
        one(page, chat)?;
    }
    Ok(())
}

fn kinds(page: &mut String, context: usize, table: &ByKind) -> Result {
    writeln!(page, "## Runs of {context} tokens\n")?;
    writeln!(
        page,
        "| text | tokens | perplexity: float | exact | llama.cpp | KL(float‖exact) | KL(float‖llama.cpp) | KL(llama.cpp‖exact) | same: float, exact | float, llama.cpp | llama.cpp, exact |"
    )?;
    writeln!(page, "|{}", "---|".repeat(11))?;
    let total = table
        .values()
        .fold(Sums::default(), |all, sums| all.add(*sums));
    for (kind, sums) in table {
        row(page, kind, sums)?;
    }
    row(page, "**all**", &total)?;
    let [exact, llama, both] = total.divergence_max;
    let [float_nats, exact_nats, llama_nats] = total.perplexity();
    writeln!(
        page,
        "\nOver all of it perplexity is {:+.2} % from the float model's for the exact one, {:+.2} % for llama.cpp. The largest divergences of any position are {exact:.2}, {llama:.2} and {both:.2} nats.\n",
        (exact_nats / float_nats - 1.0) * 100.0,
        (llama_nats / float_nats - 1.0) * 100.0,
    )
}

fn row(page: &mut String, name: &str, sums: &Sums) -> Result {
    write!(page, "| {name} | {:.0} |", sums.positions)?;
    for perplexity in sums.perplexity() {
        write!(page, " {perplexity:.3} |")?;
    }
    for divergence in sums.mean_divergence() {
        write!(page, " {divergence:.5} |")?;
    }
    for share in sums.agreement() {
        write!(page, " {:.1} % |", share * 100.0)?;
    }
    writeln!(page)
}

fn one(page: &mut String, chat: &Chat) -> Result {
    let [exact, llama] = chat.lens;
    writeln!(page, "### {}\n", chat.question)?;
    if chat.exact == chat.llama {
        writeln!(page, "Both, {exact} tokens:\n\n{}", fenced(&chat.exact))
    } else {
        writeln!(
            page,
            "The first {} tokens are the same. Exact, {exact} tokens:\n\n{}\nllama.cpp, {llama} tokens:\n\n{}",
            chat.alike,
            fenced(&chat.exact),
            fenced(&chat.llama)
        )
    }
}

/// An answer may hold a fence itself.
fn fenced(text: &str) -> String {
    format!("~~~~text\n{}\n~~~~\n", text.trim_end())
}
