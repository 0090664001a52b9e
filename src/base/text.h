#pragma once

#include <string_view>

namespace hearth {

/// Whether text from a file may be shown as it is: well-formed UTF-8 (RFC 3629: nothing overlong, no surrogates)
/// without what terminals obey instead of showing, which is control characters (C0, DEL, C1), line and paragraph
/// separators, and controls of writing direction.
bool is_plain_text(std::string_view text);

}  // namespace hearth
