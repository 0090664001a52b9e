#pragma once

namespace hearth {

/// Callables as one overload set, for std::visit.
template <typename... Fs>
struct Overload : Fs... {
  using Fs::operator()...;
};
template <typename... Fs>
Overload(Fs...) -> Overload<Fs...>;

}  // namespace hearth
