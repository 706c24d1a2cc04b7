//! Pages of lists: a cursor and a bound.

use super::error::StoreError;

/// Most rows of one page.
pub const PAGE_LIMIT_MAX: u32 = 200;

/// Which part of a list is asked for.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The `next` of the page before; absent for the first.
    pub after: Option<String>,
    /// At most so many rows; 0 and more than [`PAGE_LIMIT_MAX`] mean [`PAGE_LIMIT_MAX`].
    pub limit: u32,
}

/// Some rows and how to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paged<T> {
    /// The rows.
    pub items: Vec<T>,
    /// The cursor of the next page, where there is one.
    pub next: Option<String>,
}

impl Page {
    fn bound(&self) -> u32 {
        if self.limit == 0 { PAGE_LIMIT_MAX } else { self.limit.min(PAGE_LIMIT_MAX) }
    }

    /// What to fetch: one row more than asked for tells whether there is a next page.
    pub(super) fn fetch(&self) -> i64 {
        i64::from(self.bound()) + 1
    }

    /// The cursor of a list in ascending order of a text that is never empty.
    pub(super) fn after(&self) -> Result<&str, StoreError> {
        let after = self.after.as_deref().unwrap_or_default();
        let plain = after.len() <= 200 && after.bytes().all(|b| b.is_ascii_graphic());
        if plain { Ok(after) } else { Err(StoreError::Cursor) }
    }

    /// Cuts the extra row off and makes the next cursor from the last one kept.
    pub fn cut<T>(&self, mut items: Vec<T>, cursor: impl Fn(&T) -> String) -> Paged<T> {
        let bound = self.bound() as usize;
        let more = items.len() > bound;
        items.truncate(bound);
        let next = if more { items.last().map(cursor) } else { None };
        Paged { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_bound_and_a_next_only_where_more_follows() {
        let page = Page { after: None, limit: 2 };
        assert_eq!(page.fetch(), 3);
        let cursor = |n: &i32| n.to_string();
        assert_eq!(page.cut(vec![1, 2, 3], cursor), Paged { items: vec![1, 2], next: Some("2".to_owned()) });
        assert_eq!(page.cut(vec![1, 2], cursor), Paged { items: vec![1, 2], next: None });
        for limit in [0, 201, u32::MAX] {
            assert_eq!(Page { after: None, limit }.fetch(), 201);
        }
        for bad in ["a\0", "é", &"a".repeat(201)] {
            assert!(Page { after: Some(bad.to_owned()), limit: 0 }.after().is_err());
        }
    }
}
