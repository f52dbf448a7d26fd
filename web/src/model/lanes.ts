// The layout of a graph: one row per node, and branches in lanes side by side. Pure functions.

export interface Vertex {
  readonly name: string;
  readonly inputs: readonly string[];
}

/** An edge leaves `from` in lane `out`, runs in lane `lane`, and arrives at `to` in lane `into`. */
export interface Edge {
  readonly from: number;
  readonly to: number;
  readonly out: number;
  readonly lane: number;
  readonly into: number;
}

export interface Lanes {
  /** The lane of each node. */
  readonly nodes: readonly number[];
  readonly edges: readonly Edge[];
  readonly count: number;
}

/**
 * Lanes for nodes in topological order. The first user of a value continues in its lane; edges to other
 * users (a shortcut, a branch) have their own lanes until they end.
 */
export function lanesOf(nodes: readonly Vertex[]): Lanes {
  const rows = new Map(nodes.map((node, row) => [node.name, row]));
  const users = nodes.map((): number[] => []);
  nodes.forEach((node, row) => {
    for (const name of new Set(node.inputs)) {
      const source = rows.get(name);
      if (source !== undefined && source < row) users[source]?.push(row);
    }
  });

  const occupied: boolean[] = [];
  const free = (): number => {
    const lane = occupied.indexOf(false);
    if (lane >= 0) return lane;
    return occupied.push(false) - 1;
  };
  const waiting: { from: number; to: number; lane: number }[] = [];
  const nodeLanes: number[] = [];
  const edges: Edge[] = [];
  nodes.forEach((_, row) => {
    const arriving = waiting.filter((edge) => edge.to === row);
    const nodeLane = arriving.length ? Math.min(...arriving.map((edge) => edge.lane)) : free();
    for (const edge of arriving) {
      occupied[edge.lane] = false;
      waiting.splice(waiting.indexOf(edge), 1);
      edges.push({ ...edge, out: nodeLanes[edge.from] ?? 0, into: nodeLane });
    }
    occupied[nodeLane] = true;
    nodeLanes.push(nodeLane);
    const next = users[row] ?? [];
    if (!next.length) occupied[nodeLane] = false;
    next.forEach((to, which) => {
      const lane = which === 0 ? nodeLane : free();
      occupied[lane] = true;
      waiting.push({ from: row, to, lane });
    });
  });
  return { nodes: nodeLanes, edges, count: Math.max(1, occupied.length) };
}
