// Cycles of a directed graph: its strongly connected components of more than one node (Tarjan), without recursion.

/** Each a list of nodes that all reach each other. */
export function cycles<T>(edges: ReadonlyMap<T, ReadonlySet<T>>): T[][] {
  const found: T[][] = []
  const order = new Map<T, number>()
  const low = new Map<T, number>()
  const stack: T[] = []
  const stacked = new Set<T>()
  const enter = (node: T) => {
    order.set(node, order.size)
    low.set(node, order.size - 1)
    stack.push(node)
    stacked.add(node)
    return { node, next: (edges.get(node) ?? new Set<T>()).values() }
  }
  for (const root of edges.keys()) {
    if (order.has(root)) continue
    const path = [enter(root)]
    while (path.length > 0) {
      const { node, next } = path[path.length - 1]
      const { value: target, done } = next.next()
      if (!done) {
        if (!order.has(target)) path.push(enter(target))
        else if (stacked.has(target)) low.set(node, Math.min(low.get(node)!, order.get(target)!))
        continue
      }
      path.pop()
      const parent = path[path.length - 1]?.node
      if (parent !== undefined) low.set(parent, Math.min(low.get(parent)!, low.get(node)!))
      if (low.get(node) !== order.get(node)) continue
      const component = stack.splice(stack.indexOf(node))
      for (const member of component) stacked.delete(member)
      if (component.length > 1) found.push(component)
    }
  }
  return found
}
