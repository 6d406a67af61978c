//! Handwritten digits as shades of a terminal.

/// Side of a digit, in pixels.
pub(crate) const SIDE: usize = 8;

const SHADES: [&str; 5] = ["  ", "░░", "▒▒", "▓▓", "██"];

/// Digits of 64 pixels each, side by side, with a line of words under each. Pixels go from 0 to the brightest of them.
pub(crate) fn row(digits: &[&[f32]], words: &[String]) -> String {
    let all = digits.iter().flat_map(|digit| digit.iter());
    let brightest = all.fold(f32::MIN_POSITIVE, |a, b| a.max(*b));
    let mut lines: Vec<String> = (0..SIDE)
        .map(|y| {
            let cells = digits.iter().map(|digit| {
                let pixels = digit.chunks(SIDE).nth(y).unwrap_or_default();
                let shades = pixels.iter().map(|x| shade(*x / brightest));
                shades.collect::<String>()
            });
            cells.collect::<Vec<_>>().join("   ")
        })
        .collect();
    let words = words.iter().map(|text| format!("{text:<16}"));
    lines.push(words.collect::<Vec<_>>().join("   "));
    let lines = lines.iter().map(|line| line.trim_end());
    lines.collect::<Vec<_>>().join("\n")
}

fn shade(value: f32) -> &'static str {
    let steps = [0.1, 0.35, 0.6, 0.85];
    let at = steps.iter().filter(|step| value >= **step).count();
    SHADES.get(at).copied().unwrap_or("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_side_by_side() {
        let mut digit = [0.0; 64];
        digit[0] = 16.0;
        digit[63] = 4.0;
        let text = row(&[&digit, &digit], &["a 1".to_owned(), "b 2".to_owned()]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 9);
        assert_eq!(lines[0], format!("██{}██", " ".repeat(17)));
        assert_eq!(lines[7].trim_start(), format!("░░{}░░", " ".repeat(17)));
        assert_eq!(lines[8], format!("a 1{}b 2", " ".repeat(16)));
    }
}
