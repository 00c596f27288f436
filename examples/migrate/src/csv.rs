//! Comma-separated values, as RFC 4180 writes them.

/// The rows behind the first, which names the columns.
///
/// # Errors
/// A quotation mark that is not closed, or is followed by something else than a comma.
pub fn rows(text: &str) -> Result<Vec<Vec<String>>, &'static str> {
    let mut rows = Vec::new();
    let (mut row, mut field) = (Vec::new(), String::new());
    let mut letters = text.chars().filter(|letter| *letter != '\r').peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if field.is_empty() => {
                loop {
                    match letters.next().ok_or("a quotation mark is not closed")? {
                        '"' if letters.next_if_eq(&'"').is_some() => field.push('"'),
                        '"' => break,
                        letter => field.push(letter),
                    }
                }
                if !matches!(letters.peek(), None | Some(',' | '\n')) {
                    return Err("something follows a closed quotation mark");
                }
            }
            ',' => row.push(std::mem::take(&mut field)),
            '\n' => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            letter => field.push(letter),
        }
    }
    if !row.is_empty() || !field.is_empty() {
        row.push(field);
        rows.push(row);
    }
    Ok(rows.into_iter().skip(1).collect())
}
