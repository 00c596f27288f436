//! Comma-separated values, as RFC 4180 writes them.

/// The rows behind the first, which must name these columns, each with the number of the line that it
/// begins in. Blank lines are no rows.
///
/// # Errors
/// What is wrong, and in which line: other columns, or a quotation mark that is not closed or is followed
/// by something else than a comma.
pub fn rows<const N: usize>(
    text: &str,
    columns: [&str; N],
) -> Result<Vec<(usize, [String; N])>, String> {
    let mut rows = split(text.trim_start_matches('\u{feff}'))?.into_iter();
    if rows.next().is_none_or(|(_, names)| names != columns) {
        return Err(format!("the first line must be {}", columns.join(",")));
    }
    let columns = |(line, row): (usize, Vec<String>)| {
        let row = row.try_into().map_err(|row: Vec<String>| {
            format!("line {line}: {} columns, and {N} are wanted", row.len())
        });
        Ok((line, row?))
    };
    rows.map(columns).collect()
}

fn split(text: &str) -> Result<Vec<(usize, Vec<String>)>, String> {
    let mut rows = Vec::new();
    let (mut row, mut field) = (Vec::new(), String::new());
    let (mut line, mut begun, mut quoted) = (1_usize, 1_usize, false);
    // The last line may lack its end.
    let ended = text.chars().chain(['\n']);
    let mut letters = ended.filter(|letter| *letter != '\r').peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if field.is_empty() => {
                quoted = true;
                loop {
                    let unclosed = || format!("line {begun}: a quotation mark is not closed");
                    match letters.next().ok_or_else(unclosed)? {
                        '"' if letters.next_if_eq(&'"').is_some() => field.push('"'),
                        '"' => break,
                        letter => {
                            line = line.saturating_add((letter == '\n').into());
                            field.push(letter);
                        }
                    }
                }
                if !matches!(letters.peek(), Some(',' | '\n')) {
                    return Err(format!("line {line}: something follows a closed quotation mark"));
                }
            }
            ',' => row.push(std::mem::take(&mut field)),
            '\n' => {
                if quoted || !row.is_empty() || !field.trim().is_empty() {
                    row.push(std::mem::take(&mut field));
                    rows.push((begun, std::mem::take(&mut row)));
                }
                field.clear();
                line = line.saturating_add(1);
                (begun, quoted) = (line, false);
            }
            letter => field.push(letter),
        }
    }
    Ok(rows)
}
